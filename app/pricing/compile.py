"""From the documents of one version to its price book. What the last version compiled and nothing has touched since is taken over."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

import numpy as np

from app.pricing.book import BookError, BookProblem, BookRows, Document, Named, PriceBook, Sources
from app.pricing.conditions import LEAF
from app.pricing.currencies import CURRENCIES
from app.pricing.decode import decode_params
from app.pricing.endings import Endings, compile_endings
from app.pricing.guardrails import GuardrailRow, Guardrails, compile_guardrails
from app.pricing.money import E4, Int64s, parse_decimal, parse_percent_ppm, parse_unit_price_e4
from app.pricing.policy import policy_of
from app.pricing.price_lists import (
    EntryRow,
    PriceEntries,
    PriceLists,
    compile_price_lists,
    pack_entries,
    read_entry,
    validity_s,
)
from app.pricing.promotions import Piece, Promotions, pack_promotions, read_promotion
from app.pricing.rules import KINDS
from app.pricing.sale_prices import AMOUNT, ANY_CURRENCY, FIXED, PERCENT, SalePrices
from app.pricing.schedule import ROW_STRIDE, Intervals, compile_schedule, pack_schedules
from app.pricing.scope import Assortment, Scope, assortment_of, compile_scope, index_scopes
from app.pricing.strategies import STRATEGIES
from app.pricing.strategy import StrategyTable, assign
from app.pricing.vocabulary import Attribute, Type, Vocabulary

_TYPES: Final = {"string": Type.TEXT, "integer": Type.INTEGER, "decimal": Type.DECIMAL, "boolean": Type.BOOLEAN}
_NO_DOCUMENTS: Final[Mapping[str, Document]] = {}
_WITH_CURRENCY: Final = ("prices", "sale-prices", "promotions", "guardrails", "strategies", "signals-costs")


def compile_price_book(rows: BookRows, earlier: PriceBook | None = None) -> PriceBook:
    """Compile one version. Pure; may take seconds, so call it off the event loop. Raises BookError with every problem found.

    With an `earlier` book the parts whose documents are the very same objects are taken over from it; the book is the same either way.
    """
    return _Compiler(rows, earlier).compile()


class _Compiler:
    """Reads the documents of one version; gathers problems instead of stopping at the first."""

    def __init__(self, rows: BookRows, earlier: PriceBook | None) -> None:
        self.rows = rows
        self.earlier = earlier
        self.problems: list[BookProblem] = []
        self.assortment = self._assortment()
        self.n_skus = len(self.assortment.row_of_sku)
        self.currencies = self._currencies()
        known = frozenset().union(*self.currencies.values())
        self.currency_rows = {code: row for row, code in enumerate(sorted(known & CURRENCIES.keys()))}
        for code in sorted(known - CURRENCIES.keys()):
            self._problem("prices", "", "currency", f"unknown currency {code}")
        # Rows of SKUs and currencies are all that one part knows of the others, besides the documents it names.
        self.has_same_rows = (
            earlier is not None and self.assortment is earlier.assortment and self.currency_rows == earlier.currency_rows
        )

    def compile(self) -> PriceBook:
        earlier = self.earlier
        policy = policy_of(self._policy())
        vocabulary = self._vocabulary()
        if earlier is not None and self._is_same("prices", "price-lists"):
            lists, entries = earlier.price_lists, earlier.entries
        else:
            lists, entries = self._prices()
        if earlier is not None and self._has_same_sales(earlier):
            sales, sale_names = earlier.sales, earlier.sale_names
        else:
            sales, sale_names = self._sales()
        if earlier is not None and self._is_same("guardrails"):
            guardrails, guardrail_names = earlier.guardrails, earlier.guardrail_names
        else:
            guardrails, guardrail_names = self._guardrails()
        if earlier is not None and self._is_same("strategies", "endings"):
            endings, strategies, strategy_names = earlier.endings, earlier.strategies, earlier.strategy_names
        else:
            endings, strategies, strategy_names = self._strategies()
        if earlier is not None and self._is_same("signals-costs"):
            cost_key, cost_e4 = earlier.cost_key, earlier.cost_e4
        else:
            cost_key, cost_e4 = self._costs()
        demand_e4 = earlier.demand_e4 if earlier is not None and self._is_same("signals-demand") else self._demand()
        promotions, pieces = self._promotions(vocabulary, exclusive_wins=policy.exclusive_wins)
        if self.problems:
            raise BookError(tuple(self.problems))
        return PriceBook(
            self.rows.version,
            self.rows.published_at_us,
            policy,
            self.assortment,
            self.n_skus,
            self.currency_rows,
            vocabulary,
            frozen(lists),
            frozen(entries),
            frozen(sales),
            sale_names,
            frozen(promotions),
            frozen(guardrails),
            guardrail_names,
            frozen(strategies),
            strategy_names,
            frozen(endings),
            frozen_array(cost_key),
            frozen_array(cost_e4),
            frozen_array(demand_e4),
            _asked_facts(promotions, vocabulary),
            _boundaries(entries, sales, promotions),
            Sources(self.rows.documents, self.currencies, pieces),
        )

    def _assortment(self) -> Assortment:
        """The SKUs and what their products say; that of the earlier book where it would be equal."""
        products = {sku: document.body for sku, document in self._documents("products").items()}
        priced = {document.body["sku"] for document in self._documents("prices").values()}
        skus = products.keys() | priced
        earlier = self.earlier
        if earlier is not None and self._is_untouched("products") and skus == earlier.assortment.row_of_sku.keys():
            return earlier.assortment
        return assortment_of(sorted(skus), products)

    def _currencies(self) -> dict[str, frozenset[str]]:
        """The currencies that each resource names."""
        return {
            resource: self.earlier.sources.currencies[resource]
            if self.earlier is not None and self._is_untouched(resource)
            else frozenset(one.body["currency"] for one in self._documents(resource).values() if one.body.get("currency"))
            for resource in _WITH_CURRENCY
        }

    def _vocabulary(self) -> Vocabulary:
        if self.earlier is not None and self._is_untouched("attributes"):
            return self.earlier.vocabulary.grown()
        return Vocabulary(
            {
                name: Attribute(_TYPES[document.body["type"]], bool(document.body.get("personal")))
                for name, document in self._documents("attributes").items()
            }
        )

    def _is_untouched(self, *resources: str) -> bool:
        """Whether the documents of the resources are the very objects that the earlier book was compiled from."""
        assert self.earlier is not None
        before = self.earlier.sources.documents
        return all(self._documents(resource) is before.get(resource, _NO_DOCUMENTS) for resource in resources)

    def _is_same(self, *resources: str) -> bool:
        return self.has_same_rows and self._is_untouched(*resources)

    def _has_same_sales(self, earlier: PriceBook) -> bool:
        """Sale prices also feel how many currencies there are prices in, and where a weekly pattern is laid out from."""
        is_priced_alike = self.currencies["prices"] == earlier.sources.currencies["prices"]
        return self._is_same("sale-prices") and is_priced_alike and not self._has_weekly("sale-prices")

    def _has_weekly(self, resource: str) -> bool:
        """Whether a schedule is laid out from the instant of publishing, which every version has its own."""
        return any((one.body.get("schedule") or {}).get("weekly") for one in self._documents(resource).values())

    def _promotions(
        self, vocabulary: Vocabulary, *, exclusive_wins: bool
    ) -> tuple[Promotions, dict[str, tuple[Document, Piece]]]:
        """All promotions; a piece whose document and surroundings are those of the earlier book is taken over."""
        before: Mapping[str, tuple[Document, Piece]] = {}
        if self.earlier is not None and self.has_same_rows and self._is_untouched("attributes"):
            before = self.earlier.sources.promotions
        pieces: dict[str, tuple[Document, Piece]] = {}
        for name, document in self._documents("promotions").items():
            kept = before.get(name)
            if kept is not None and kept[0] is document and not (document.body.get("schedule") or {}).get("weekly"):
                pieces[name] = kept
                continue
            piece = read_promotion(
                name,
                document.body,
                document.revision,
                kinds=KINDS,
                assortment=self.assortment,
                vocabulary=vocabulary,
                published_at_us=self.rows.published_at_us,
            )
            if isinstance(piece, list):
                self.problems += [BookProblem(*problem) for problem in piece]
            else:
                pieces[name] = (document, piece)
        promotions, found = pack_promotions(
            {name: piece for name, (_, piece) in pieces.items()},
            {name: document.body for name, document in self._documents("coupons").items()},
            kinds=KINDS,
            n_skus=self.n_skus,
            currency_rows=self.currency_rows,
            exclusive_wins=exclusive_wins,
            broken=self._documents("promotions").keys() - pieces.keys(),
        )
        self.problems += [BookProblem(*problem) for problem in found]
        return promotions, pieces

    def _documents(self, resource: str) -> Mapping[str, Document]:
        return self.rows.documents.get(resource, _NO_DOCUMENTS)

    def _problem(self, resource: str, name: str, path: str, message: str) -> None:
        self.problems.append(BookProblem(resource, name, path, message))

    def _policy(self) -> Mapping[str, Any] | None:
        document = self._documents("policy").get("default")
        return document.body if document else None

    def _scope(self, body: Mapping[str, Any]) -> Scope:
        return compile_scope(body.get("scope"), self.assortment)

    def _schedule(self, resource: str, name: str, body: Mapping[str, Any]) -> Intervals | None:
        if not body.get("schedule"):
            return None
        try:
            return compile_schedule(body["schedule"], published_at_us=self.rows.published_at_us)
        except ValueError as error:
            self._problem(resource, name, "schedule", str(error))
            return None

    def _prices(self) -> tuple[PriceLists, PriceEntries]:
        lists, ranks = compile_price_lists({name: document.body for name, document in self._documents("price-lists").items()})
        row_of_list = {name: row for row, name in enumerate(lists.id)}
        found: list[EntryRow] = []
        for name, (body, _) in self._documents("prices").items():
            list_row = row_of_list.get(body.get("price_list") or "default")
            if list_row is None:
                self._problem("prices", name, "price_list", "there is no such price list")
                continue
            if body["currency"] not in self.currency_rows:
                continue
            key = self.currency_rows[body["currency"]] * self.n_skus + self.assortment.row_of_sku[body["sku"]]
            try:
                start, end = validity_s(body, _second)
                if start >= end:
                    raise ValueError("valid_from must lie before valid_to")
                found.append(
                    read_entry(body, key=key, list_row=list_row, list_rank=ranks[lists.id[list_row]], from_s=start, to_s=end)
                )
            except ValueError as error:
                self._problem("prices", name, "tiers" if body.get("tiers") else "unit_price", str(error))
        return lists, pack_entries(found, len(self.currency_rows) * self.n_skus)

    def _sales(self) -> tuple[SalePrices, Named]:
        documents = self._documents("sale-prices")
        ids = sorted(documents)
        bodies = [documents[name].body for name in ids]
        mode, value = [], []
        priced_in = self.currencies["prices"]
        for name, body in zip(ids, bodies, strict=True):
            if body.get("percent") is None and not body.get("currency") and len(priced_in) > 1:
                self._problem(
                    "sale-prices", name, "currency", "prices are in several currencies: say which one this amount is in"
                )
            if body.get("unit_price") is not None:
                mode.append(FIXED)
                value.append(parse_unit_price_e4(body["unit_price"]))
            elif body.get("percent") is not None:
                mode.append(PERCENT)
                value.append(parse_percent_ppm(body["percent"]))
            else:
                mode.append(AMOUNT)
                value.append(parse_unit_price_e4(body["amount"]))
        sales = SalePrices(
            index_scopes([self._scope(body) for body in bodies], self.n_skus),
            pack_schedules([self._schedule("sale-prices", name, body) for name, body in zip(ids, bodies, strict=True)]),
            np.array([self._currency_row(body) for body in bodies], np.int64),
            np.array(mode, np.int64),
            np.array(value, np.int64),
        )
        return sales, self._named(documents, ids)

    def _currency_row(self, body: Mapping[str, Any]) -> int:
        return self.currency_rows.get(body["currency"], ANY_CURRENCY) if body.get("currency") else ANY_CURRENCY

    def _named(self, documents: Mapping[str, Document], ids: list[str]) -> Named:
        return Named(
            tuple(ids),
            tuple(documents[name].body.get("name") or name for name in ids),
            tuple(documents[name].revision for name in ids),
        )

    def _guardrails(self) -> tuple[Guardrails, Named]:
        documents = self._documents("guardrails")
        ids = [name for name in sorted(documents) if documents[name].body["currency"] in self.currency_rows]
        rows = []
        for name in ids:
            body = documents[name].body
            floor, ceiling = body.get("floor"), body.get("ceiling")
            rows.append(
                GuardrailRow(
                    self.currency_rows[body["currency"]],
                    self._scope(body),
                    None if floor is None else parse_unit_price_e4(floor),
                    None if ceiling is None else parse_unit_price_e4(ceiling),
                )
            )
        guardrails = compile_guardrails(rows, self.n_skus)
        skus = list(self.assortment.row_of_sku)
        for at in np.flatnonzero(guardrails.floor_e4 > guardrails.ceiling_e4)[:100]:
            sku, ceiling_id = skus[int(guardrails.key[at]) % self.n_skus], ids[int(guardrails.ceiling_rule[at])]
            message = f"the floor of {sku} lies above the ceiling of guardrail {ceiling_id}"
            self._problem("guardrails", ids[int(guardrails.floor_rule[at])], "floor", message)
        return guardrails, self._named(documents, ids)

    def _strategies(self) -> tuple[Endings, StrategyTable, Named]:
        ending_documents = self._documents("endings")
        ending_ids = sorted(ending_documents)
        good = []
        for name in ending_ids:
            try:
                compile_endings([ending_documents[name].body])
                good.append(name)
            except ValueError as error:
                self._problem("endings", name, "bands", str(error))
        documents = self._documents("strategies")
        ids = [name for name in sorted(documents) if documents[name].body["currency"] in self.currency_rows]
        kinds = tuple(sorted({documents[name].body["kind"] for name in ids if documents[name].body["kind"] in STRATEGIES}))
        params: list[list[Any]] = [[] for _ in kinds]
        kind, kind_row, endings_row, scopes = [], [], [], []
        for name in ids:
            body = documents[name].body
            if body["kind"] not in STRATEGIES:
                self._problem("strategies", name, "kind", "unknown kind")
                continue
            if body.get("endings") and body["endings"] not in good:
                self._problem("strategies", name, "endings", "there are no such endings")
                continue
            if body.get("endings") and ending_documents[body["endings"]].body["currency"] != body["currency"]:
                self._problem("strategies", name, "endings", "the endings are of another currency")
                continue
            module = STRATEGIES[body["kind"]]
            try:
                one = decode_params(module.Params, body["params"])
            except (KeyError, TypeError, ValueError) as error:
                self._problem("strategies", name, "params", str(error))
                continue
            for path, message in module.check(one):
                self._problem("strategies", name, f"params.{path}", message)
            number = kinds.index(body["kind"])
            kind.append(number)
            kind_row.append(len(params[number]))
            params[number].append(one)
            endings_row.append(good.index(body["endings"]) if body.get("endings") else -1)
            scopes.append((self.currency_rows[body["currency"]], self._scope(body)))
        key, rule = assign(scopes, self.n_skus)
        packed = () if self.problems else tuple(STRATEGIES[name].pack(one) for name, one in zip(kinds, params, strict=True))
        table = StrategyTable(
            key, rule, np.array(kind, np.int64), np.array(kind_row, np.int64), np.array(endings_row, np.int64), packed, kinds
        )
        return compile_endings([ending_documents[name].body for name in good]), table, self._named(documents, ids)

    def _costs(self) -> tuple[Int64s, Int64s]:
        found = [
            (
                self.currency_rows[body["currency"]] * self.n_skus + self.assortment.row_of_sku[body["sku"]],
                parse_unit_price_e4(body["unit_cost"]),
            )
            for body, _ in self._documents("signals-costs").values()
            if body["currency"] in self.currency_rows and body["sku"] in self.assortment.row_of_sku
        ]
        found.sort()
        table = np.array(found, np.int64).reshape(-1, 2)
        return table[:, 0].copy(), table[:, 1].copy()

    def _demand(self) -> Int64s:
        demand = np.full(self.n_skus, E4, np.int64)
        for body, _ in self._documents("signals-demand").values():
            row = self.assortment.row_of_sku.get(body["sku"])
            if row is not None:
                demand[row] = parse_decimal(body["index"], 4)
        return demand


def _asked_facts(promotions: Promotions, vocabulary: Vocabulary) -> frozenset[str]:
    """The facts about a customer that any promotion looks at."""
    names = list(vocabulary.attributes)
    asked = {names[slot] for slot in np.unique(promotions.conditions.slot[promotions.conditions.op == LEAF]).tolist()}
    return frozenset(asked | {name for inputs in promotions.reward_inputs for name in inputs})


def _boundaries(entries: PriceEntries, sales: SalePrices, promotions: Promotions) -> tuple[int, ...]:
    """Every instant at which an entry, a sale price or a promotion begins or ends."""
    tables = (sales.schedule, promotions.schedule)
    keys = [key & (ROW_STRIDE - 1) for table in tables for key in (table.start_key, table.end_key)]
    return tuple(np.unique(np.concatenate([entries.from_s, entries.to_s, *keys])).tolist())


def _second(text: str) -> int:
    """Whole seconds of an RFC 3339 instant in UTC. Raises ValueError."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant needs its offset")
    return int(instant.timestamp())


def frozen_array(array: Int64s) -> Int64s:
    """A copy on bytes: unlike `setflags(write=False)`, nothing can make it writable again."""
    if not array.flags.writeable:
        return array
    copy: Int64s = np.frombuffer(np.ascontiguousarray(array).tobytes(), dtype=array.dtype).reshape(array.shape)
    return copy


def frozen[T](table: T) -> T:
    """The same table of arrays, each of them frozen; tables inside are frozen too."""
    frozen_table: Any = table
    if isinstance(table, np.ndarray):
        frozen_table = frozen_array(table)
    elif isinstance(table, tuple):
        values = [frozen(value) for value in table]
        frozen_table = type(table)(*values) if hasattr(table, "_fields") else type(table)(values)
    return cast(T, frozen_table)
