"""
The audit trail: a log file that shows whether anything was removed or changed.

Writing it:

- `handler` is the bridge to `logging`, `trail` the file itself: the engine of
  `chimera_log.files`, with each line linked to the one before it.
- `chain` is how lines are linked; `heads` finds the last one in the files.
- `witness` tells other outputs where the chain ends; `reserve` is disk space for
  when there is none left.

Keeping it:

- `keeping` has full segments sealed and compressed; `sealing` gives one its
  `manifest`, which is what is known of it, also when it is gone.
- `retain` says what may be deleted, `prune` deletes it; `forecast` says how long the
  files will hold.

Copying it:

- `copied` is a trail that has its copies made: `behind` is the thread for that, and
  `tasks` are what there is to do.

Archiving it:

- `archiving` has full files archived in S3, each exactly once; `removing` has `prune`
  delete what may go from here.
- `destination` is what is configured, `archive` what is asked for and answered;
  `copies` are the copies of segments, and `bucket` makes the calls to S3.
- `restore` brings them back for a while.

Verifying it:

- `verify` finds out whether a trail is whole, and whether that can be believed.
- `walk` goes through it from the first record to the last; `following` takes one
  record after the other, and `diagnosis` names what is wrong where that fails.
- `seals` are what the manifests say; `anchors` is what witnesses wrote down.
- `reading` has the files as they are at one moment.

Asking it:

- `tailing` hands over each chained line once, as the trail goes on.
- `index` is what a database holds of a line, and which database; `indexing` keeps it
  up with the trail, `sqlite` and `postgres` talk to it; `comparing` finds what differs.
"""

from chimera_log.audit.handler import AuditFileHandler

__all__ = ["AuditFileHandler"]
