"""The registry of strategy kinds: the modules of this folder."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Final, cast

from app.pricing.strategy import StrategyKind

STRATEGIES: Final[dict[str, StrategyKind]] = {
    module.name: cast(StrategyKind, import_module(f"{__name__}.{module.name}")) for module in iter_modules(__path__)
}
