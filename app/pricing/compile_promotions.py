"""The promotions of a version: all of them read and packed, or those of the version before with a few exchanged."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from app.pricing.book import BookProblem, Document, PriceBook
from app.pricing.codes import read_codes
from app.pricing.comparison import Comparison, has_pattern
from app.pricing.frozen import frozen
from app.pricing.money import Int64s
from app.pricing.promotion_changes import codes_moved, edit_promotions, row_of_place, splice_promotions
from app.pricing.promotions import Piece, PromotionProblem, Promotions, level_of, pack_promotions, place_of, read_promotion
from app.pricing.rules import KINDS
from app.pricing.scope import Assortment
from app.pricing.splice import GONE, places
from app.pricing.vocabulary import Vocabulary

# Beyond this share of all promotions, and this number, packing all of them is as good.
_SHARE: Final = 16
_FEW: Final = 64


class Surroundings(NamedTuple):
    """What promotions are compiled in."""

    assortment: Assortment
    vocabulary: Vocabulary  # learns texts
    currency_rows: Mapping[str, int]
    exclusive_wins: bool
    published_at_us: int
    days_of: Callable[[str], Sequence[str]]  # the days that a promotion's schedule names, by its id


class Compiled(NamedTuple):
    """Promotions, those that depend on the day of publishing, and what is wrong."""

    promotions: Promotions
    patterns: frozenset[str]
    problems: list[BookProblem]


def all_promotions(documents: Mapping[str, Document], coupons: Mapping[str, Document], around: Surroundings) -> Compiled:
    """Read and pack every promotion."""
    pieces, problems = _read(documents.items(), around)
    promotions = _packed(pieces, around)
    row_of_id = {name: row for row, name in enumerate(promotions.id)}
    codes, found = read_codes(coupons, row_of_id, {name for name in documents if name not in pieces})
    patterns = frozenset(name for name, piece in pieces.items() if has_pattern(piece.body))
    return Compiled(frozen(promotions._replace(row_of_code=codes)), patterns, problems + _problems(found))


def promotions_to_read(earlier: PriceBook, compared: Comparison) -> set[str] | None:
    """The promotions that must be read anew when what surrounds them is as it was; None where that is all of them."""
    changed, with_other_days = compared.changed("promotions"), compared.with_other_days("promotions")
    if changed is None or with_other_days is None:
        return None
    # Days of a promotion that is gone, or not there yet, change nothing.
    names = changed | {name for name in with_other_days if name in compared.documents("promotions")}
    if not compared.is_same_day:
        names |= earlier.sources.patterns["promotions"]
    return names if len(names) <= max(_FEW, len(earlier.promotions.id) // _SHARE) else None


def changed_promotions(earlier: PriceBook, compared: Comparison, names: set[str], around: Surroundings) -> Compiled:
    """The promotions of the earlier book, with those of some names exchanged; what surrounds them is the same."""
    old, documents = earlier.promotions, compared.documents("promotions")
    pieces, problems = _read(((name, documents[name]) for name in names if name in documents), around)
    patterns = earlier.sources.patterns["promotions"] - names | {
        name for name, piece in pieces.items() if has_pattern(piece.body)
    }
    if problems:
        return Compiled(old, patterns, problems)
    wins = around.exclusive_wins
    gone = [
        place_of(name, body, level_of(body, KINDS), exclusive_wins=wins)
        for name, (body, _) in zip(names, compared.bodies("promotions", names), strict=True)
        if body is not None
    ]
    came = [place_of(name, piece.body, piece.level, exclusive_wins=wins) for name, piece in pieces.items()]
    edit, removed = edit_promotions(old, gone, came, exclusive_wins=wins)
    fresh = _packed(pieces, around)
    promotions = splice_promotions(old, fresh, edit, removed) if names else old
    place = places(edit)
    # Promotions that changed have a place as well; only one that is gone has none.
    row_of_id = {name: row for run in edit.runs if run.is_new for row, name in enumerate(fresh.id[run.start : run.stop], run.at)}
    place[removed] = [row_of_id.get(old.id[row], GONE) for row in removed.tolist()]
    codes = _changed_codes(earlier, compared, place, promotions, wins)
    found: list[PromotionProblem] = []
    if codes is None:
        codes, found = read_codes(compared.documents("coupons"), {name: row for row, name in enumerate(promotions.id)}, ())
    return Compiled(promotions._replace(row_of_code=codes), patterns, _problems(found))


def _changed_codes(
    earlier: PriceBook, compared: Comparison, place: Int64s, promotions: Promotions, exclusive_wins: bool
) -> dict[str, int] | None:
    """The codes when promotions have moved to their `place` and a few coupons changed; None where that may be a problem."""
    old = earlier.promotions.row_of_code
    changed = compared.changed("coupons")
    if changed is None or len(changed) > _FEW:
        return None
    is_still = np.array_equal(place, np.arange(place.size))
    if is_still and not changed:
        return old
    codes = dict(old) if is_still else codes_moved(old, place)
    if GONE in codes.values():
        return None
    pairs = list(compared.bodies("coupons", changed))
    for before, _ in pairs:
        for code in () if before is None else before["codes"]:
            codes.pop(code, None)
    for _, now in pairs:
        if now is None:
            continue
        name = now["promotion"]
        document = compared.documents("promotions").get(name)
        if document is None or any(code in codes for code in now["codes"]):
            return None
        row = row_of_place(
            promotions,
            place_of(name, document.body, level_of(document.body, KINDS), exclusive_wins=exclusive_wins),
            exclusive_wins=exclusive_wins,
        )
        codes.update(dict.fromkeys(now["codes"], row))
    return codes


def _read(documents: Iterable[tuple[str, Document]], around: Surroundings) -> tuple[dict[str, Piece], list[BookProblem]]:
    pieces: dict[str, Piece] = {}
    problems: list[PromotionProblem] = []
    for name, document in documents:
        piece = read_promotion(
            name,
            document.body,
            document.revision,
            kinds=KINDS,
            assortment=around.assortment,
            vocabulary=around.vocabulary,
            published_at_us=around.published_at_us,
            days=around.days_of(name),
        )
        if isinstance(piece, list):
            problems += piece
        else:
            pieces[name] = piece
    return pieces, _problems(problems)


def _packed(pieces: Mapping[str, Piece], around: Surroundings) -> Promotions:
    return pack_promotions(
        pieces,
        kinds=KINDS,
        n_skus=len(around.assortment.row_of_sku),
        currency_rows=around.currency_rows,
        exclusive_wins=around.exclusive_wins,
    )


def _problems(found: Iterable[PromotionProblem]) -> list[BookProblem]:
    return [BookProblem(*problem) for problem in found]
