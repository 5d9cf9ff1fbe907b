"""Arrays that nothing can change any more."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray


def frozen_array[T: NDArray[Any]](array: T) -> T:
    """A copy on bytes: unlike `setflags(write=False)`, nothing can make it writable again."""
    if not array.flags.writeable:
        return array
    return cast(T, np.frombuffer(np.ascontiguousarray(array).tobytes(), dtype=array.dtype).reshape(array.shape))


def frozen[T](table: T) -> T:
    """The same table of arrays, each of them frozen; tables inside are frozen too."""
    frozen_table: Any = table
    if isinstance(table, np.ndarray):
        frozen_table = frozen_array(table)
    elif hasattr(table, "_fields") or (
        isinstance(table, tuple) and table and (isinstance(table[0], np.ndarray) or hasattr(table[0], "_fields"))
    ):
        # A plain tuple of anything else has nothing to freeze, and may be long.
        rows: Any = table
        values = [frozen(value) for value in rows]
        frozen_table = type(rows)(*values) if hasattr(rows, "_fields") else tuple(values)
    return cast(T, frozen_table)
