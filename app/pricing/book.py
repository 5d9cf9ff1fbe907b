"""The price book: everything a price depends on, compiled into arrays that never change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.pricing.endings import Endings
from app.pricing.facts import Facts
from app.pricing.guardrails import Guardrails
from app.pricing.ladders import Ladders
from app.pricing.money import Int64s
from app.pricing.policy import Policy
from app.pricing.price_lists import PriceEntries, PriceLists
from app.pricing.promotions import Promotions
from app.pricing.sale_prices import SalePrices
from app.pricing.scope import Assortment
from app.pricing.strategy import StrategyTable
from app.pricing.vocabulary import Vocabulary


class Document(NamedTuple):
    """A configured thing: its validated body and how often it has changed."""

    body: Mapping[str, Any]
    revision: int


class BookRows(NamedTuple):
    """All documents of one version, by resource and id."""

    version: int
    published_at_us: int
    documents: Mapping[str, Mapping[str, Document]]


class BookProblem(NamedTuple):
    """Why a book does not compile: which field of which document."""

    resource: str
    id: str
    path: str
    message: str


class BookError(Exception):
    """A version that does not compile."""

    def __init__(self, problems: tuple[BookProblem, ...]) -> None:
        super().__init__("; ".join(f"{one.resource}/{one.id} {one.path}: {one.message}" for one in problems[:5]))
        self.problems = problems


class Named(NamedTuple):
    """What a reply says about the rules of a table, by row."""

    id: tuple[str, ...]
    name: tuple[str, ...]
    revision: tuple[int, ...]


class Sources(NamedTuple):
    """What a book was compiled from, and what of it the next version asks, which shares most of it."""

    documents: Mapping[str, Mapping[str, Document]]
    currencies: Mapping[str, Mapping[str, int]]  # by resource: how many documents name each
    n_uses: Int64s  # (n_skus,) products and prices that name each SKU
    entry_instants_s: Int64s  # sorted instants at which a price begins or ends
    strategy_instants_s: Int64s  # sorted instants at which a strategy's price changes by time alone
    patterns: Mapping[str, frozenset[str]]  # by resource: documents whose schedule is laid out around the day of publishing


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class PriceBook:
    """One version of everything that makes a price. Keys of (currency, SKU) are currency row · n_skus + SKU row."""

    version: int
    published_at_us: int
    policy: Policy
    assortment: Assortment
    n_skus: int
    currency_rows: dict[str, int]
    vocabulary: Vocabulary
    price_lists: PriceLists
    entries: PriceEntries
    sales: SalePrices
    sale_names: Named
    promotions: Promotions
    guardrails: Guardrails
    guardrail_names: Named
    strategies: StrategyTable
    strategy_names: Named
    endings: Endings
    cost_key: Int64s  # sorted
    cost_e4: Int64s
    demand_e4: Int64s  # (n_skus,), 10 000 is the usual demand
    facts: Facts
    ladders: Ladders
    ladder_names: Named
    asked_facts: frozenset[str]  # the customer's facts that a condition or a reward asks for
    boundaries_s: tuple[int, ...]  # sorted instants at which something that depends on time alone may change
    sources: Sources
