"""How much the tests of faults do: a little with the suite, a lot with `make faults`; and the seed of what they draw."""

import os
from random import SystemRandom
from typing import Final

# 1 is the short form of about two minutes, 1000 the long form.
SCALE: Final = int(os.environ.get("FAULT_SCALE", "1"))
SEED: Final = int(os.environ.get("FAULT_SEED", str(SystemRandom().getrandbits(32))))


def scaled(count: int, *, most: int) -> int:
    """So many in the short form, and up to `most` in longer ones."""
    return min(count * SCALE, most)
