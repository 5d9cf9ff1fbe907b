"""Generated codes: whether a text is one of them is told from the text alone, and never wrongly."""

from collections import Counter, defaultdict
from random import Random

import numpy as np
import pytest

from app.pricing.book import BookError, BookRows, Document
from app.pricing.code_table import NO_CODES, drop_generator
from app.pricing.compile import compile_price_book
from app.pricing.generated_codes import ALPHABET, GeneratedCodes, beginning_of
from tests.reference.codes import generated_code

SEED = "000102030405060708090a0b0c0d0e0f"
CODES = GeneratedCodes("SP-", SEED, 100_000)
TEN = {"name": "Ten", "kind": "percent_off", "params": {"percent": "10"}, "requires_code": True}


def coupons(**bodies: dict[str, object]) -> BookRows:
    """A version with two promotions, `one` and `two`, and some coupons."""
    found = {name: Document({"codes": []} | body, 1) for name, body in bodies.items()}
    return BookRows(1, 0, {"promotions": {"one": Document(TEN, 1), "two": Document(TEN, 1)}, "coupons": found})


def generating(promotion: str, prefix: str = "SP-", seed: str = SEED, count: int = 3) -> dict[str, object]:
    return {"promotion": promotion, "generate": {"prefix": prefix, "seed": seed, "count": count}}


def test_a_hundred_thousand_codes_differ_and_each_is_known() -> None:
    codes = [CODES.code(number) for number in range(100_000)]

    assert len(set(codes)) == 100_000
    assert all(CODES.has(code) and beginning_of(code) == CODES.beginning for code in codes[::97])
    assert {len(code) for code in codes} == {3 + 18}


def test_codes_are_those_of_the_page_to_the_letter() -> None:
    rng = Random(1)
    for prefix in ("", "SP-", "ÉTÉ "):
        seed = rng.randbytes(16).hex()
        for number in (0, 1, 31, 32, 99_999):
            assert GeneratedCodes(prefix, seed, 100_000).code(number) == generated_code(prefix, seed, number)


def test_every_letter_comes_about_as_often_as_any_other() -> None:
    """80 000 letters, 2500 of each on average; 5 standard deviations are 246."""
    letters = Counter("".join(CODES.code(number)[-16:] for number in range(5_000)))

    assert set(letters) == set(ALPHABET)
    assert not set("01IO") & set(ALPHABET)
    assert max(abs(count - 2_500) for count in letters.values()) < 250


def test_a_code_with_one_letter_changed_is_none() -> None:
    code = CODES.code(4711)
    for place in range(len(code)):
        for letter in ALPHABET + "01IO-ß鞋":
            other = code[:place] + letter + code[place + 1 :]
            known = beginning_of(other) == CODES.beginning and CODES.has(other)
            assert known == (other == code), other


@pytest.mark.parametrize("text", ["", "S", "SP-", CODES.beginning, CODES.code(0)[:-1], CODES.code(0) + "2", CODES.code(0)[1:]])
def test_a_piece_of_a_code_is_none(text: str) -> None:
    book = compile_price_book(coupons(c=generating("one")))

    assert book.promotions.codes.row_of(text) == -1


def test_the_count_is_the_bound_and_lower_numbers_stay_when_it_grows() -> None:
    few, more = CODES._replace(n_codes=3), CODES._replace(n_codes=4)

    assert [few.has(CODES.code(number)) for number in range(5)] == [True, True, True, False, False]
    assert [more.has(CODES.code(number)) for number in range(5)] == [True, True, True, True, False]


def test_another_prefix_or_seed_makes_codes_with_nothing_in_common() -> None:
    other_prefix, other_seed = CODES._replace(prefix="XX-"), CODES._replace(seed="ff" * 16)

    for codes in (other_prefix, other_seed):
        assert not {codes.code(n)[-16:] for n in range(1_000)} & {CODES.code(n)[-16:] for n in range(1_000)}


def test_many_coupons_of_one_prefix_are_told_apart() -> None:
    """1500 coupons have only 1024 beginnings between them."""
    made = {f"c{n:04}": generating(("one", "two")[n % 2], seed=f"{n:032x}") for n in range(1_500)}
    codes = compile_price_book(coupons(**made)).promotions.codes

    assert len(codes.generators) < 1_024
    rows = [codes.row_of(GeneratedCodes("SP-", f"{n:032x}", 3).code(2)) for n in range(1_500)]
    assert rows == [n % 2 for n in range(1_500)]


def test_a_listed_code_goes_before_the_same_one_generated() -> None:
    listed: dict[str, object] = {"promotion": "two", "codes": [CODES.code(1)]}
    codes = compile_price_book(coupons(a=generating("one"), b=listed)).promotions.codes

    assert [codes.row_of(CODES.code(number)) for number in range(4)] == [0, 1, 0, -1]


def test_two_coupons_with_the_same_codes_are_refused() -> None:
    with pytest.raises(BookError) as refused:
        compile_price_book(coupons(a=generating("one"), b=generating("two", count=1)))

    [problem] = refused.value.problems
    assert (problem.id, problem.path, problem.message) == ("b", "generate.seed", "the codes belong to coupon a")


def test_codes_move_with_the_promotions_that_they_unlock() -> None:
    codes = compile_price_book(coupons(a=generating("one"), b={"promotion": "two", "codes": ["L"]})).promotions.codes

    moved = codes.moved(np.array([7, 3]))

    assert [moved.row_of(text) for text in (CODES.code(1), "L", "M")] == [7, 3, -1]
    assert [codes.row_of(text) for text in (CODES.code(1), "L", "M")] == [0, 1, -1]


def test_a_row_is_there_where_a_listed_or_a_generated_code_unlocks_it() -> None:
    codes = compile_price_book(coupons(a=generating("one"), b={"promotion": "two", "codes": ["L"]})).promotions.codes

    assert [codes.has_row(row) for row in range(3)] == [True, True, False]


def test_a_copy_of_the_codes_is_changed_by_itself() -> None:
    codes = compile_price_book(coupons(a=generating("one"), b={"promotion": "two", "codes": ["L"]})).promotions.codes
    copy = codes.copy()
    assert copy == codes

    del copy.row_of_listed["L"]
    drop_generator(copy.generators, "a", CODES)

    assert copy == NO_CODES
    assert [codes.row_of(text) for text in (CODES.code(1), "L")] == [0, 1]


def test_who_generates_a_code_is_known_beside_others_of_the_same_beginning() -> None:
    # Of 1500 seeds some have the same two letters.
    of_beginning: dict[str, list[GeneratedCodes]] = defaultdict(list)
    for number in range(1_500):
        made = GeneratedCodes("SP-", f"{number:032x}", 3)
        of_beginning[made.beginning].append(made)
    first, second = next(found for found in of_beginning.values() if len(found) > 1)[:2]
    bodies = {name: generating("one", seed=codes.seed) for name, codes in (("a", first), ("b", second))}
    codes = compile_price_book(coupons(**bodies)).promotions.codes

    assert [codes.generator_of(made.code(2)) for made in (first, second)] == ["a", "b"]
    assert [codes.generator_of(text) for text in (first.code(3), first.beginning, "L")] == [None] * 3
    drop_generator(codes.generators, "a", first)
    assert [codes.generator_of(made.code(2)) for made in (first, second)] == [None, "b"]
    drop_generator(codes.generators, "b", second)
    drop_generator(codes.generators, "b", second)
    assert codes.generators == {}
