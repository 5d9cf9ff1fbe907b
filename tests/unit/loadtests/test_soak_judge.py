"""The judge of the soak: what grows is found, what only moves is not."""

from random import Random

import pytest

from loadtests.soak.judge import ALLOWED, judge, slope_of

_SEED = 20261123
_MEGABYTE = 1 << 20


def grows(measure: str, values: list[float]) -> bool:
    [verdict] = judge({measure: values}, ALLOWED)
    return verdict.grows


def noisy(base: float, noise: float, *, growth: float = 0.0, n: int = 180) -> list[float]:
    random = Random(_SEED)
    return [base + random.gauss(0, noise) + growth * number / n for number in range(n)]


@pytest.mark.parametrize(
    ("measure", "values"),
    [
        pytest.param("memory_bytes", noisy(200 * _MEGABYTE, 4 * _MEGABYTE), id="memory that swings"),
        pytest.param("memory_bytes", [100 * _MEGABYTE] * 40 + [170 * _MEGABYTE] * 140, id="memory that grew in the warm-up"),
        pytest.param("descriptors", [40.0 + 20 * (number % 30 < 3) for number in range(180)], id="bursts of connections"),
        pytest.param("threads", [7.0] * 100 + [9.0] * 80, id="two threads more"),
        pytest.param("series", [450.0] * 180, id="nothing at all"),
    ],
)
def test_what_moves_and_does_not_grow_is_flat(measure: str, values: list[float]) -> None:
    assert not grows(measure, values)


@pytest.mark.parametrize(
    ("measure", "values"),
    [
        pytest.param("memory_bytes", noisy(200 * _MEGABYTE, 4 * _MEGABYTE, growth=24 * _MEGABYTE), id="memory"),
        pytest.param("descriptors", [40.0 + number // 12 for number in range(180)], id="a descriptor every two minutes"),
        pytest.param("connections", noisy(20, 3, growth=15), id="connections"),
        pytest.param("threads", [7.0 + number // 40 for number in range(180)], id="threads"),
        pytest.param("series", [450.0 + number / 10 for number in range(180)], id="series"),
    ],
)
def test_what_grows_is_found(measure: str, values: list[float]) -> None:
    assert grows(measure, values)


def test_too_few_samples_are_not_judged() -> None:
    with pytest.raises(ValueError, match="too few"):
        judge({"threads": [7.0] * 9})


def test_a_long_run_has_the_slope_of_all_of_it() -> None:
    assert slope_of([2.0 * number for number in range(5_000)]) == 2.0
