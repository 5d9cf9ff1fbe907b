"""The registry of promotion kinds: the modules of this folder."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from app.pricing.kind import Kind, kind_of

KINDS: Final[dict[str, Kind]] = {
    module.name: kind_of(import_module(f"{__name__}.{module.name}")) for module in iter_modules(__path__)
}
