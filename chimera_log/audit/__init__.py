"""
The audit trail: a log file that shows whether anything was removed or changed.

- `handler` is the bridge to `logging`, `trail` the file itself: the engine of
  `chimera_log.files`, with each line linked to the one before it.
- `chain` is how lines are linked; `manifest` is what is kept of full segments.
- `sealing` gives a full segment its manifest; `retain` says what may be deleted.
- `witness` tells other outputs where the chain ends; `reserve` is disk space for
  when there is none left.
- `verify` finds out whether a trail is whole: `reading` reads its files as they are at
  one moment, `following` goes along the chain, `walk` through all files, `diagnosis`
  says which record is bad, `seals` what the manifests say, `anchors` what witnesses
  saw.
"""

from chimera_log.audit.handler import AuditFileHandler

__all__ = ["AuditFileHandler"]
