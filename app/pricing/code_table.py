"""The codes of a book, listed and generated, and the promotion that each unlocks."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from app.pricing.generated_codes import GeneratedCodes, beginning_of
from app.pricing.money import Int64s


class Generator(NamedTuple):
    """The generated codes of one coupon, and the row of the promotion that they unlock."""

    coupon: str
    codes: GeneratedCodes
    row: int


class CodeTable(NamedTuple):
    """Codes as they are looked up."""

    row_of_listed: dict[str, int]
    generators: dict[str, tuple[Generator, ...]]  # by what their codes begin with; of one beginning by coupon

    def row_of(self, text: str) -> int:
        """The row of the promotion that a code unlocks, −1 for what is no code."""
        row = self.row_of_listed.get(text)
        if row is not None:
            return row
        found = self.generators.get(beginning_of(text), ())
        return next((one.row for one in found if one.codes.has(text)), -1)

    def generator_of(self, text: str) -> str | None:
        """The coupon that generates a code, None where none does."""
        found = self.generators.get(beginning_of(text), ())
        return next((one.coupon for one in found if one.codes.has(text)), None)

    def moved(self, place: Int64s) -> "CodeTable":
        """The same codes when rows have moved to their `place` (n_old,)."""
        rows = place[np.fromiter(self.row_of_listed.values(), np.int64)]
        return CodeTable(
            dict(zip(self.row_of_listed, rows.tolist(), strict=True)),
            {
                beginning: tuple(one._replace(row=int(place[one.row])) for one in found)
                for beginning, found in self.generators.items()
            },
        )

    def has_row(self, row: int) -> bool:
        """Whether a code unlocks the promotion of this row."""
        return row in self.row_of_listed.values() or any(one.row == row for found in self.generators.values() for one in found)

    def copy(self) -> "CodeTable":
        """A table of its own, to be changed."""
        return CodeTable(dict(self.row_of_listed), dict(self.generators))


NO_CODES: Final = CodeTable({}, {})


def put_generator(generators: dict[str, tuple[Generator, ...]], new: Generator) -> str | None:
    """Add the generated codes of a coupon; where another has the same ones, this is that coupon, and nothing is added."""
    beginning = new.codes.beginning
    found = generators.get(beginning, ())
    for one in found:
        if (one.codes.prefix, one.codes.seed) == (new.codes.prefix, new.codes.seed):
            return one.coupon
    generators[beginning] = tuple(sorted((*found, new)))
    return None


def drop_generator(generators: dict[str, tuple[Generator, ...]], coupon: str, codes: GeneratedCodes) -> None:
    """Take the generated codes of a coupon out."""
    beginning = codes.beginning
    if left := tuple(one for one in generators.pop(beginning, ()) if one.coupon != coupon):
        generators[beginning] = left


def generated_by(body: Mapping[str, object]) -> GeneratedCodes | None:
    """The codes that a coupon's document generates, None where it lists them."""
    made = body.get("generate")
    return GeneratedCodes(made["prefix"], made["seed"], made["count"]) if isinstance(made, Mapping) else None
