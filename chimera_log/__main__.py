"""``python -m chimera_log`` is ``chimera-log``."""

import sys

from chimera_log.cli import main

if __name__ == "__main__":
    sys.exit(main())
