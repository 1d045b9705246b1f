"""
From a configuration file to running logging.

- `sources` finds the files, `reading` reads them, `document` knows where each key and
  value is written, `interpolate` and `overlay` put them together: `effective`.
- `check` finds what is wrong with it; `findings` are its words.
- `building` makes the parts aside, `swap` exchanges them for those that run; `live` is
  what runs, `levels` what was changed by hand, `listeners` those that read queues.
- `load` is `init_logging`; `watch` and `reloading` follow the files.
- `hooks` logs what nobody caught.
"""
