"""Every step of a quote with the amounts before and after it, from the quote itself: what `explain=full` adds to a preview."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

type _Entry = Mapping[str, Any]

_NAMED = ("rule", "revision", "name", "code", "level", "bound")


def explained(reply: bytes) -> bytes:
    """The reply of a quote with the member `explanation`; it says nothing that does not follow from the reply, and it re-sums.

    Of a line: unit prices from the list price on, then the amount of the line from its subtotal to its total. Of the order: the sum of
    the subtotals, what the promotions on lines and on the order took of it, shipping, points and cash rounding, to the total.
    """
    quote = msgspec.json.decode(reply)
    explanation = {
        "lines": [_of_line(line) for line in quote["lines"] if "error" not in line],
        "order": list(_of_order(quote)),
        "applied": list(_applied(quote).values()),
    }
    return reply[:-1] + b',"explanation":' + msgspec.json.encode(explanation) + b"}"


def _of_line(line: _Entry) -> dict[str, Any]:
    list_unit = line["list_unit_price"]
    unit_steps = [{"step": "list", "before": None, "after": list_unit}, *line["price_steps"]]
    return {
        "id": line["id"],
        "unit_prices": unit_steps,
        "amounts": [
            {"step": "subtotal", "before": None, "after": line["subtotal"]},
            *_running(line["subtotal"], line["adjustments"]),
        ],
    }


def _running(before: int, adjustments: Iterable[_Entry]) -> Iterator[dict[str, Any]]:
    """The adjustments, each with the amount before and after it."""
    for entry in adjustments:
        after = before + entry["amount"]
        named = {name: entry[name] for name in _NAMED if name in entry}
        yield {"step": entry["kind"], **named, "before": before, "after": after}
        before = after


def _of_order(quote: _Entry) -> Iterator[dict[str, Any]]:
    amount = quote["subtotal"]
    yield {"step": "subtotal", "before": None, "after": amount}
    lines = [line for line in quote["lines"] if "error" not in line]
    on_lines = sum(entry["amount"] for line in lines for entry in line["adjustments"] if entry.get("level") != "order")
    if on_lines:
        yield {"step": "line_promotions", "before": amount, "after": amount + on_lines}
        amount += on_lines
    rounding = [entry for entry in quote["adjustments"] if entry["kind"] == "cash_rounding"]
    for step in _running(amount, (entry for entry in quote["adjustments"] if entry["kind"] != "cash_rounding")):
        amount = step["after"]
        yield step
    shipping = quote["shipping"]
    if shipping is not None:
        yield {"step": "shipping", "before": amount, "after": amount + shipping["subtotal"]}
        amount += shipping["subtotal"]
        for step in _running(amount, shipping.get("adjustments", ())):
            amount = step["after"]
            yield step
    if redeemed := quote["points"].get("amount", 0):
        yield {"step": "points", "before": amount, "after": amount - redeemed}
        amount -= redeemed
    for step in _running(amount, rounding):
        amount = step["after"]
        yield step
    yield {"step": "total", "before": amount, "after": quote["total"]}


def _applied(quote: _Entry) -> dict[str, dict[str, Any]]:
    """What each promotion that applied took in all, and of which lines; gifts and points take nothing."""
    found: dict[str, dict[str, Any]] = {}
    for line in quote["lines"]:
        for entry in line.get("adjustments", ()):
            if entry["kind"] != "guardrail":
                one = found.setdefault(entry["rule"], {"rule": entry["rule"], "kind": entry["kind"], "amount": 0, "lines": []})
                one["amount"] += entry["amount"]
                if line["id"] not in one["lines"]:
                    one["lines"].append(line["id"])
    given = (("gift", quote["gifts"]), ("points", quote["points"].get("multipliers", ())))
    beyond = [*(quote["shipping"] or {"adjustments": ()})["adjustments"]]
    beyond += [{**entry, "kind": kind, "amount": 0} for kind, entries in given for entry in entries]
    for entry in beyond:
        found[entry["rule"]] = {"rule": entry["rule"], "kind": entry["kind"], "amount": entry["amount"], "lines": []}
    return found
