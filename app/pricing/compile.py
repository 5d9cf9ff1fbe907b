"""From the documents of one version to its price book. What the last version compiled and nothing has touched since is taken over."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from app.pricing.book import BookError, BookProblem, BookRows, Document, Named, PriceBook, Sources
from app.pricing.catalog_columns import PriceColumns, read_catalog, read_prices, said_of
from app.pricing.comparison import Comparison, has_pattern
from app.pricing.compile_facts import Around, demand_of, facts_of, ladders_of
from app.pricing.compile_promotions import (
    Compiled,
    Surroundings,
    all_promotions,
    changed_promotions,
    promotions_to_read,
)
from app.pricing.compile_signals import all_costs, changed_costs
from app.pricing.conditions import LEAF
from app.pricing.currencies import CURRENCIES
from app.pricing.decode import decode_params
from app.pricing.endings import Endings, compile_endings
from app.pricing.facts import Facts
from app.pricing.frozen import frozen, frozen_array
from app.pricing.guardrails import (
    GuardrailRow,
    Guardrails,
    change_limits_of,
    compile_guardrails,
    contradictions,
    told_of,
    values_of,
)
from app.pricing.ladders import Ladders, ladder_of
from app.pricing.money import Int64s, parse_percent_ppm, parse_unit_price_e4
from app.pricing.policy import Policy, policy_of
from app.pricing.price_entries import all_entries, changed_entries
from app.pricing.price_lists import NO_ENTRIES, PriceEntries, compile_price_lists, pack_entries
from app.pricing.promotions import Promotions
from app.pricing.sale_prices import AMOUNT, ANY_CURRENCY, FIXED, PERCENT, SalePrices
from app.pricing.schedule import ROW_STRIDE, Intervals, ScheduleError, ScheduleTable, compile_schedule, distinct, pack_schedules
from app.pricing.scope import Assortment, Scope, compile_scope, index_scopes
from app.pricing.seasons import season_instants
from app.pricing.strategies import STRATEGIES
from app.pricing.strategy import StrategyTable, assign, strategy_instants_s
from app.pricing.vocabulary import Attribute, Type, Vocabulary

_TYPES: Final = {"string": Type.TEXT, "integer": Type.INTEGER, "decimal": Type.DECIMAL, "boolean": Type.BOOLEAN}
_WITH_CURRENCY: Final = ("prices", "sale-prices", "promotions", "guardrails", "strategies", "signals-costs")
# Beyond this share of all documents, and this number, reading all of them is as good.
_SHARE: Final = 64
_FEW: Final = 64


def compile_price_book(rows: BookRows, earlier: PriceBook | None = None) -> PriceBook:
    """Compile one version. Pure; may take seconds, so call it off the event loop. Raises BookError with every problem found.

    With an `earlier` book its parts are taken over, as they are or with what changed exchanged; the book is the same either way.
    """
    return _Compiler(rows, earlier).compile()


class _Compiler:
    """Reads the documents of one version; gathers problems instead of stopping at the first."""

    def __init__(self, rows: BookRows, earlier: PriceBook | None) -> None:
        self.rows = rows
        self.earlier = earlier
        self.compared = Comparison(rows, earlier)
        self.problems: list[BookProblem] = []
        self.lists, self.list_order = compile_price_lists(
            {name: document.body for name, document in self._documents("price-lists").items()}
        )
        self.prices: PriceColumns | None = None  # when all of them are read
        self.assortment, self.n_uses = self._assortment()
        self.n_skus = len(self.assortment.row_of_sku)
        self.currencies = {resource: self._n_of_currencies(resource) for resource in _WITH_CURRENCY}
        known = {name for counts in self.currencies.values() for name in counts}
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
        entries = self._entries()
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
        for name, packed in zip(strategies.kinds, strategies.packed, strict=False):
            STRATEGIES[name].prepare(packed)
        if earlier is not None and self._is_same("signals-costs"):
            cost_key, cost_e4 = earlier.cost_key, earlier.cost_e4
        else:
            cost_key, cost_e4 = self._costs()
        around = self._around_facts()
        demand_e4 = demand_of(around)
        facts, problems = facts_of(around, has_same_seasons=self._is_same("seasons"))
        self.problems += problems
        if earlier is not None and self._is_same("ladders"):
            ladders, ladder_names = earlier.ladders, earlier.ladder_names
        else:
            ladders, ladder_names = self._ladders()
        if earlier is None or guardrails is not earlier.guardrails or strategies is not earlier.strategies:
            priced_by, ids = strategies.rule, strategy_names.id
            self._refuse_unbounded(guardrails, guardrail_names, strategies.key, "strategy", priced_by, ids)
        if earlier is None or guardrails is not earlier.guardrails or ladders is not earlier.ladders:
            priced_by, ids = ladder_of(ladders, np.arange(ladders.key.size)), ladder_names.id
            self._refuse_unbounded(guardrails, guardrail_names, ladders.key, "ladder", priced_by, ids)
        vocabulary, (promotions, patterns, problems) = self._promotions(policy)
        self.problems += problems
        if self.problems:
            raise BookError(tuple(self.problems))
        instants_s = self._entry_instants(entries)
        strategy_instants_s = self._strategy_instants(strategies, facts)
        return PriceBook(
            self.rows.version,
            self.rows.published_at_us,
            policy,
            self.assortment,
            self.n_skus,
            self.currency_rows,
            vocabulary,
            frozen(self.lists),
            entries,
            frozen(sales),
            sale_names,
            promotions,
            frozen(guardrails),
            guardrail_names,
            frozen(strategies),
            strategy_names,
            frozen(endings),
            frozen_array(cost_key),
            frozen_array(cost_e4),
            demand_e4,
            facts,
            frozen(ladders),
            ladder_names,
            self._asked_facts(promotions, vocabulary),
            self._boundaries(instants_s, strategy_instants_s, sales.schedule, promotions.schedule),
            Sources(
                self.rows.documents,
                self.currencies,
                self.n_uses,
                instants_s,
                strategy_instants_s,
                {"promotions": patterns, "sale-prices": self._patterns("sale-prices")},
            ),
        )

    def _assortment(self) -> tuple[Assortment, Int64s]:
        """The SKUs and what their products say, and how many documents name each; those of the earlier book where they would be equal."""
        if self.earlier is not None and (n_uses := self._uses(self.earlier)) is not None:
            return self.earlier.assortment, n_uses
        found = read_catalog(self._documents("products"), self._documents("prices"), self.lists.id)
        self.prices = found.prices
        return found.assortment, frozen_array(found.n_uses)

    def _uses(self, earlier: PriceBook) -> Int64s | None:
        """How many documents name each SKU, None where the SKUs or what products say of them differ."""
        products, prices = self.compared.changed("products"), self.compared.changed("prices")
        if products is None or prices is None:
            return None
        if not products and not prices:
            return earlier.sources.n_uses
        n_uses, row_of = earlier.sources.n_uses.copy(), earlier.assortment.row_of_sku
        moves: list[tuple[str, int]] = []
        for name, (old, new) in zip(products, self.compared.bodies("products", products), strict=True):
            if said_of(old) != said_of(new):
                return None
            moves.append((name, (new is not None) - (old is not None)))
        for bodies in self.compared.bodies("prices", prices):
            moves += [(body["sku"], step) for body, step in zip(bodies, (-1, 1), strict=True) if body is not None]
        for sku, step in moves:
            if sku not in row_of:
                return None
            n_uses[row_of[sku]] += step
        return None if any(n_uses[row_of[sku]] == 0 for sku, _ in moves) else frozen_array(n_uses)

    def _n_of_currencies(self, resource: str) -> Mapping[str, int]:
        if resource == "prices" and self.prices is not None:
            n_of_each = np.bincount(self.prices.currency, minlength=len(self.prices.currencies))
            return dict(zip(self.prices.currencies, n_of_each.tolist(), strict=True))
        return self.compared.n_of_currencies(resource)

    def _is_same(self, *resources: str) -> bool:
        return self.has_same_rows and self.compared.is_untouched(*resources)

    def _has_same_sales(self, earlier: PriceBook) -> bool:
        """Sale prices also feel how many currencies there are prices in, and which days patterns and named days come out on."""
        is_priced_alike = self.currencies["prices"].keys() == earlier.sources.currencies["prices"].keys()
        is_laid_out_alike = self.compared.is_same_day or not earlier.sources.patterns["sale-prices"]
        has_same_days = self.compared.with_other_days("sale-prices") == set()
        return self._is_same("sale-prices") and is_priced_alike and is_laid_out_alike and has_same_days

    def _patterns(self, resource: str) -> frozenset[str]:
        if self.earlier is not None and self.compared.is_untouched(resource):
            return self.earlier.sources.patterns[resource]
        return frozenset(name for name, document in self._documents(resource).items() if has_pattern(document.body))

    def _promotions(self, policy: Policy) -> tuple[Vocabulary, Compiled]:
        earlier, compared = self.earlier, self.compared
        if earlier is not None and self._is_same("attributes") and policy.exclusive_wins == earlier.policy.exclusive_wins:
            names = promotions_to_read(earlier, compared)
            if names == set() and compared.is_untouched("coupons"):
                return earlier.vocabulary, Compiled(earlier.promotions, earlier.sources.patterns["promotions"], [])
            if names is not None:
                vocabulary = earlier.vocabulary.grown() if names else earlier.vocabulary
                return vocabulary, changed_promotions(earlier, compared, names, self._around(vocabulary, policy))
        vocabulary = self._vocabulary()
        coupons = self._documents("coupons")
        return vocabulary, all_promotions(self._documents("promotions"), coupons, self._around(vocabulary, policy))

    def _around(self, vocabulary: Vocabulary, policy: Policy) -> Surroundings:
        return Surroundings(
            self.assortment,
            vocabulary,
            self.currency_rows,
            policy.exclusive_wins,
            self.rows.published_at_us,
            lambda name: self.compared.named_days("promotions", name),
        )

    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(
            {
                name: Attribute(_TYPES[document.body["type"]], bool(document.body.get("personal")))
                for name, document in self._documents("attributes").items()
            }
        )

    def _documents(self, resource: str) -> Mapping[str, Document]:
        return self.compared.documents(resource)

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
            days = self.compared.named_days(resource, name)
            return compile_schedule(body["schedule"], published_at_us=self.rows.published_at_us, days=days)
        except ScheduleError as error:
            self._problem(resource, name, f"schedule.{error.path}", str(error))
            return None

    def _entries(self) -> PriceEntries:
        """The price entries; empty where a problem is found, which ends the compilation."""
        earlier = self.earlier
        if earlier is not None and self._is_same("price-lists"):
            changed = self._few("prices")
            if changed == set():
                return earlier.entries
            if changed is not None:
                entries, problems = changed_entries(earlier, self.compared, changed, self.lists, self.list_order)
                self.problems += problems
                return entries
        if self.prices is None:
            self.prices = read_prices(self._documents("prices"), self.assortment.row_of_sku, self.lists.id)
        prices, self.prices = self.prices, None
        self.problems += prices.problems.values()
        if self.problems:
            return pack_entries(NO_ENTRIES, self.list_order, 0)
        return all_entries(prices, self.lists, self.list_order, self.currency_rows, self.n_skus)

    def _entry_instants(self, entries: PriceEntries) -> Int64s:
        if self.earlier is not None and entries is self.earlier.entries:
            return self.earlier.sources.entry_instants_s
        return frozen_array(distinct(np.concatenate([entries.from_s, entries.to_s])))

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
        rows = [
            GuardrailRow(
                self.currency_rows[documents[name].body["currency"]],
                self._scope(documents[name].body),
                values_of(documents[name].body),
            )
            for name in ids
        ]
        guardrails = compile_guardrails(rows, self.n_skus)
        skus = list(self.assortment.row_of_sku)
        for at, lower, ceiling in contradictions(guardrails):
            (row, field), (other, _) = told_of(lower), told_of(ceiling)
            message = f"the {field} of {skus[at % self.n_skus]} lies above the ceiling of guardrail {ids[other]}"
            self._problem("guardrails", ids[row], field, message)
        return guardrails, self._named(documents, ids)

    def _refuse_unbounded(
        self, guardrails: Guardrails, guardrail_names: Named, key: Int64s, what: str, row: Int64s, ids: tuple[str, ...]
    ) -> None:
        """Prices of keys (n,) that strategies or ladders `row` (n,) make move with signals: no publication could hold them to a maximum change."""
        bound = change_limits_of(guardrails, key).bound
        skus = list(self.assortment.row_of_sku)
        for at in np.flatnonzero(bound >= 0)[:100].tolist():
            sku, name = skus[int(key[at]) % self.n_skus], ids[int(row[at])]
            message = f"the price of {sku} moves with {what} {name}, which no maximum change can hold"
            self._problem("guardrails", guardrail_names.id[told_of(int(bound[at]))[0]], "max_change", message)

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
        earlier, row_of_sku = self.earlier, self.assortment.row_of_sku
        documents = self._documents("signals-costs")
        changed = self._few("signals-costs")
        if earlier is None or changed is None:
            return all_costs(documents, row_of_sku, self.currency_rows)
        bodies = self.compared.bodies("signals-costs", changed)
        return changed_costs(earlier.cost_key, earlier.cost_e4, bodies, row_of_sku, self.currency_rows)

    def _around_facts(self) -> Around:
        few = {resource: self._few(resource) for resource in ("signals-demand", "signals-stock", "signals-competitors")}
        return Around(self.compared, self.earlier, self.assortment, self.currency_rows, few)

    def _ladders(self) -> tuple[Ladders, Named]:
        documents = self._documents("ladders")
        ladders, ids, problems = ladders_of(documents, self.assortment, self.currency_rows)
        self.problems += problems
        return ladders, self._named(documents, ids)

    def _strategy_instants(self, strategies: StrategyTable, facts: Facts) -> Int64s:
        earlier = self.earlier
        if earlier is not None and strategies is earlier.strategies and facts is earlier.facts:
            return earlier.sources.strategy_instants_s
        own = strategy_instants_s(strategies, STRATEGIES, facts)
        return frozen_array(distinct(np.concatenate([own, season_instants(facts.seasons)])))

    def _few(self, resource: str) -> set[str] | None:
        """The documents that differ where they are so few that exchanging them is less than reading all; None otherwise."""
        changed = self.compared.changed(resource) if self.has_same_rows else None
        return changed if changed is not None and len(changed) <= max(_FEW, len(self._documents(resource)) // _SHARE) else None

    def _asked_facts(self, promotions: Promotions, vocabulary: Vocabulary) -> frozenset[str]:
        """The facts about a customer that any promotion looks at."""
        conditions = promotions.conditions
        if self.earlier is not None:
            before = self.earlier.promotions
            # An edit gives back the very arrays and tuples that it leaves as they are.
            is_same = conditions.slot is before.conditions.slot and conditions.op is before.conditions.op
            if is_same and promotions.reward_inputs is before.reward_inputs:
                return self.earlier.asked_facts
        names = list(vocabulary.attributes)
        is_asked = np.bincount(conditions.slot[conditions.op == LEAF], minlength=len(names))
        asked = {names[slot] for slot in np.flatnonzero(is_asked).tolist()}
        return frozenset(asked | {name for inputs in set(promotions.reward_inputs) for name in inputs})

    def _boundaries(self, entry_instants_s: Int64s, strategy_instants_s: Int64s, *schedules: ScheduleTable) -> tuple[int, ...]:
        """Every instant at which an entry, a sale price or a promotion begins or ends, or a strategy's price changes."""
        earlier = self.earlier
        if (
            earlier is not None
            and entry_instants_s is earlier.sources.entry_instants_s
            and strategy_instants_s is earlier.sources.strategy_instants_s
        ):
            before = (earlier.sales.schedule, earlier.promotions.schedule)
            if all(
                now.start_key is then.start_key and now.end_key is then.end_key
                for now, then in zip(schedules, before, strict=True)
            ):
                return earlier.boundaries_s
        keys = [key & (ROW_STRIDE - 1) for table in schedules for key in (table.start_key, table.end_key)]
        return tuple(distinct(np.concatenate([entry_instants_s, strategy_instants_s, *keys])).tolist())
