"""`python -m app`: the command line."""

import gc
import signal
import sys

# Before anything else is imported: process 1 of a container never hears of a SIGTERM for which it has no handler, and would serve on
# until it is killed. Elsewhere the default would end us at once and leave the embedded server running.
signal.signal(signal.SIGTERM, signal.default_int_handler)

# Imports and the first book are millions of objects that stay: walking them again and again is a fifth of a start. The service sets
# the thresholds that it runs with when it is ready.
gc.set_threshold(200_000, 100, 100)
try:
    from app.cli import main

    status = main()
except KeyboardInterrupt:
    # Interrupted while the modules were still being loaded; nothing had been started. To a service that is no failure.
    status = 0 if sys.argv[1:2] in (["serve"], ["worker"]) else 130
sys.exit(status)
