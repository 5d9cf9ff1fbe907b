"""Random changes of a random book, one document or two at a time."""

from random import Random

from app.pricing.book import BookRows, Document

_SWAPPED = ("scope", "conditions", "schedule", "group", "lane", "priority", "exclusive", "requires_code", "not_on_sale")

_SIGNALS = ("signals-costs", "signals-demand", "signals-stock", "signals-competitors")


def random_change(rng: Random, rows: BookRows) -> list[tuple[str, str, Document | None]]:
    """Change, delete or add a promotion, a coupon, a price, a fact or the days of a schedule."""
    resource = rng.choice(
        ("promotions", "promotions", "promotions", "prices", "coupons", *_SIGNALS, "signals-competitors", "named-days")
    )
    documents = rows.documents.get(resource, {})
    if not documents:
        return []
    name = rng.choice(sorted(documents))
    body = dict(documents[name].body)
    deed = rng.random()
    if deed < 0.2:
        return [(resource, name, None)]
    if resource == "promotions":
        for field in rng.sample(_SWAPPED, rng.randint(0, 3)):
            body[field] = documents[rng.choice(sorted(documents))].body.get(field)
        new = f"{rng.choice('amz')}{rng.randint(0, 9)}" if deed < 0.5 else name
        other = documents[rng.choice(sorted(documents))].body
        if deed > 0.8:
            body |= {key: other[key] for key in ("kind", "params", "level", "currency") if key in other}
        return [(resource, new, Document(body, rng.randint(1, 9)))]
    if resource == "prices":
        other = documents[rng.choice(sorted(documents))].body
        body |= {key: other[key] for key in ("unit_price", "tiers") if key in other}
        if deed < 0.5:
            body["valid_from"] = f"20{rng.randint(10, 40)}-01-01T00:00:00Z"
            body["valid_to"] = None
            name = "|".join((body["sku"], body.get("price_list") or "default", body["currency"], body["valid_from"]))
        return [(resource, name, Document(body, 2))]
    if resource == "coupons":
        body["promotion"] = rng.choice(sorted(rows.documents["promotions"]))
        body["codes"] = [f"{code}{rng.choice(('', '2', '3'))}" for code in body["codes"]]
        name = rng.choice((name, f"{name}x"))
    if resource == "named-days":
        body["days"] = [day for day in body["days"] if rng.random() < 0.5] + ["2027-01-01"]
    if resource == "signals-costs":
        body["unit_cost"] = str(rng.randint(1, 900))
    if resource == "signals-demand":
        body["index"] = f"0.{rng.randint(1, 9)}"
        body["daily_units"] = rng.choice((None, "3.5"))
    if resource == "signals-stock":
        body["units"] = str(rng.randint(0, 99))
    if resource == "signals-competitors":
        body["unit_price"] = str(rng.randint(1, 900))
        body["at"] = rng.choice((body["at"], f"2026-11-27T{rng.randint(10, 12)}:00:30Z"))
        # Now and then one whom nobody has heard of.
        body["competitor"] = rng.choice((body["competitor"], body["competitor"], "new-rival"))
        name = "|".join((body["sku"], body["competitor"], body["currency"]))
    return [(resource, name, Document(body, 2))]
