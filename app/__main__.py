"""`python -m app`: the command line."""

import gc
import sys

# Imports and the first book are millions of objects that stay: walking them again and again is a fifth of a start. The service sets
# the thresholds that it runs with when it is ready.
gc.set_threshold(200_000, 100, 100)
try:
    from app.cli import main

    status = main()
except KeyboardInterrupt:
    # Interrupted while the modules were still being loaded; nothing had been started.
    status = 130
sys.exit(status)
