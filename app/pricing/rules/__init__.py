"""The registry of promotion kinds: the modules of this folder."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Final, cast

from app.pricing.rewards import Kind

KINDS: Final[dict[str, Kind]] = {
    module.name: cast(Kind, import_module(f"{__name__}.{module.name}")) for module in iter_modules(__path__)
}
