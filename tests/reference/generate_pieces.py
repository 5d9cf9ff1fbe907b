"""The small pieces of random books: names, scopes, schedules, amounts that round at a half."""

from random import Random
from typing import Any

from tests.reference.figures import AMOUNT_MAX_MINOR, show_unit
from tests.reference.shop import Body
from tests.reference.times import DAYS, instant_us

PUBLISHED_AT_US = instant_us("2026-06-15T08:00:00Z")
# A plain noon, and the hours when clocks change in New York and in Berlin.
HOT_INSTANTS = ("2026-11-27T12:00:00", "2026-11-01T06:00:00", "2027-03-28T01:00:00")
HOT_INSTANTS_US = tuple(instant_us(text + "Z") for text in (HOT_INSTANTS[0], HOT_INSTANTS[0], *HOT_INSTANTS))
LOCAL_DAYS = {"2026-11-27": ("thu", "fri", "sat"), "2026-11-01": ("sat", "sun", "mon"), "2027-03-28": ("sat", "sun")}

SKUS = tuple(f"S{i}" for i in range(1, 9))
CATEGORIES = ("a", "a/b", "a/b/c", "a/bc", "d")
BRANDS = ("acme", "zeta")
TAGS = ("new", "soft", "red")
COLOURS = ("red", "blue")
SEGMENTS = ("vip", "staff", "new")
LEVELS = ("gold", "vip")
CHANNELS = ("web", "app")
STORES = ("s1", "s2")
MARKETS = ("US", "DE")
HOURS = (("00:00", "00:00"), ("09:00", "12:00"), ("12:00", "13:00"), ("22:00", "02:30"), ("01:30", "02:30"), ("02:00", "01:00"))
# What the schedules of holidays and festivals may name; the hot days are among them.
NAMED_DAYS = ("2026-10-31", "2026-11-01", "2026-11-26", "2026-12-25", "2027-03-26", "2027-03-28")
RECURRENCES = (
    "FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=3",
    "FREQ=WEEKLY;BYDAY=FR,SU",
    "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=FR,SA,SU",
    "FREQ=MONTHLY;BYDAY=4FR,-1FR,1SU,-1SU",
    "FREQ=MONTHLY;BYMONTHDAY=1,-1,27,28",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1,-2",
    "FREQ=YEARLY;BYMONTH=3,11;BYDAY=-1SU,1SU",
    "FREQ=YEARLY;INTERVAL=2;BYYEARDAY=87,305,331",
    "FREQ=HOURLY;INTERVAL=5",
    "FREQ=MINUTELY;INTERVAL=90;BYHOUR=1,2,12",
)
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata")


def chance(rng: Random, share: float) -> bool:
    """Return True in the given share of calls."""
    return rng.random() < share


def unit_price(rng: Random, scale: int) -> str:
    """Return a unit price about the scale; often at a half, below a cent or at the bounds."""
    kind = rng.random()
    if kind < 0.02:
        return rng.choice(("0", "0.0001", "10000000000", "9999999999.9999"))
    whole = rng.randint(0, scale) if kind < 0.6 else (rng.randint(0, 2 * scale) | 1)
    e4 = 0
    if kind > 0.85:
        e4 = rng.choice((5000, 2500, 1, 9999, 5000, rng.randrange(10_000)))
    elif kind > 0.75:
        whole = whole // 5 * 5 or 5
    return show_unit(min(whole, 9_999_999_999) * 10_000 + e4)


def percent(rng: Random) -> str:
    """Return a percentage, often one that halves an odd cent."""
    return rng.choice(("50", "50", "25", "12.5", "10", "5", "0.5", "33.3333", "15", "100", "99.9999", "0.0001", "2.5", "75"))


def quantity(rng: Random) -> int | str:
    """Return a quantity, mostly small and whole."""
    kind = rng.random()
    if kind < 0.7:
        whole = rng.choice((1, 1, 2, 3, 5, 7, 9, 10, 11, 12))
        return whole if kind < 0.55 else str(whole)
    if kind < 0.97:
        return rng.choice(("0.5", "0.35", "1.125", "0.001", "2.5", "9.5", "10.001", "0.999", "33.333"))
    return rng.choice((1_000_000, "999999.999", 50_000))


def amount(rng: Random, scale: int) -> int:
    """Return an amount of a discount about the scale of the prices; now and then the greatest there is."""
    if chance(rng, 0.03):
        return AMOUNT_MAX_MINOR
    near = (max(1, scale // 20), max(1, scale // 7), scale // 2 + 1, scale + 1, rng.randint(1, 3 * scale + 1))
    return min(AMOUNT_MAX_MINOR, rng.choice((1, 2, 3, *near)))


def scope(rng: Random) -> Body:
    """Return a scope; mostly a wide one that many rules share."""
    kind = rng.random()
    include: dict[str, Any] = {"skus": [], "categories": [], "brands": [], "tags": [], "attributes": {}}
    exclude: dict[str, Any] = {"skus": [], "categories": [], "brands": [], "tags": [], "attributes": {}}
    if kind < 0.4:
        pass
    elif kind < 0.55:
        include["skus"] = rng.sample(SKUS, rng.randint(1, 4))
    elif kind < 0.75:
        include["categories"] = rng.sample(CATEGORIES, rng.randint(1, 2))
    elif kind < 0.85:
        include["brands"] = [rng.choice(BRANDS)]
    elif kind < 0.92:
        include["tags"] = rng.sample(TAGS, rng.randint(1, 2))
    else:
        include["attributes"] = {"colour": rng.sample(COLOURS, rng.randint(1, 2))}
    if kind > 0.5 and chance(rng, 0.2):
        include["tags"] = [rng.choice(TAGS)]
    if chance(rng, 0.2):
        field = rng.choice(("skus", "categories", "brands", "tags", "attributes"))
        one = {"skus": SKUS, "categories": CATEGORIES, "brands": BRANDS, "tags": TAGS}
        exclude[field] = {"colour": [rng.choice(COLOURS)]} if field == "attributes" else [rng.choice(one[field])]
    return {"include": include, "exclude": exclude}


def _recurrence(rng: Random, day: str) -> Body:
    """Return a recurrence with an occurrence on the day, or close to it."""
    began = rng.choice(
        (f"{day}T01:30:00", f"{day}T02:30:00", f"{day[:5]}01-01T00:00:00", f"{day[:8]}01T12:00:00", "2024-02-29T22:15:00")
    )
    rule = rng.choice(RECURRENCES) + rng.choice(("", "", ";COUNT=200", ";UNTIL=20270328T013000Z", ";UNTIL=20261127T120000"))
    return {"rule": rule, "start": began, "duration": rng.choice(("PT30M", "PT1H", "PT3H30M", "PT26H", "P1D", "P4D"))}


def schedule(rng: Random) -> Body | None:
    """Return a schedule whose edges lie at or near one of the hot instants; often none."""
    if chance(rng, 0.6):
        return None
    hot = rng.choice((HOT_INSTANTS[0], HOT_INSTANTS[0], *HOT_INSTANTS))
    day = hot[:10]
    made: Body = {"timezone": rng.choice(ZONES)}
    if chance(rng, 0.6):
        made["from"] = f"{day}T{rng.choice(('00:00:00', '01:30:00', '02:30:00', '06:00:00', '12:00:00', '17:30:00'))}"
    if chance(rng, 0.5):
        ends = (f"{day}T12:00:00", f"{day}T13:00:00", f"{day}T23:59:59", "2027-12-01T00:00:00")
        made["to"] = rng.choice([end for end in ends if end > made.get("from", "")])
    pattern = rng.random()
    if pattern < 0.2:
        made["rrule"] = _recurrence(rng, day)
    elif pattern < 0.35:
        around = {"days_before": rng.choice((0, 0, 1, 5)), "days_after": rng.choice((0, 0, 1, 3))}
        made |= rng.choice(({"holidays": {"country": "US", **around}}, {"festival": {"name": "easter", **around}}))
    elif pattern < 0.6 or len(made) == 1:
        days = rng.choice((list(LOCAL_DAYS[day]), [rng.choice(LOCAL_DAYS[day])], list(DAYS)))
        start, end = rng.choice(HOURS)
        made["weekly"] = {"days": days, "start": start, "end": end}
    return made
