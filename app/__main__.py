"""`python -m app`: the command line."""

import sys

try:
    from app.cli import main

    status = main()
except KeyboardInterrupt:
    # Interrupted while the modules were still being loaded; nothing had been started.
    status = 130
sys.exit(status)
