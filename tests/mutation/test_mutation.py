"""The runner of `make mutation`: which mutants there are, that one is put in, and what is held against the explanations."""

import ast
import subprocess
import sys
from functools import partial

import pytest

from tests.mutation.explained import EXPLAINED, Change, change_of, read_explained
from tests.mutation.forks import in_fork
from tests.mutation.mutants import ROOT, Mutant, loaded_function, mutants_of

SOURCE = """
def fee(amount: int) -> int:
    if amount < 0:
        raise ValueError("an amount is not negative")
    return amount + 5


class Till:
    def is_open(self, key: str) -> bool:
        return key == "north"
"""

EXPLANATIONS = """
[[survivor]]
function = "till.fee"
was = "if amount < 0:"
now = ["if amount <= 0:"]
why = "No amount is 0."

[[family]]
change = 'raise ValueError\\(.*\\) -> raise ValueError\\(None\\)'
why = "Text."
"""

# Put a mutant into a copy of the process, ask it, and ask the process itself.
SWITCH = """
from app.pricing.money import ceil_div
from tests.mutation.forks import in_fork
from tests.mutation.mutants import ROOT, mutants_of

text = (ROOT / "app/pricing/money.py").read_text()
[mutant] = [each for each in mutants_of("money.py", text) if each.now == "return -(-numerator / divisor)"]


def answer():
    mutant.put_in()
    return ceil_div(7, 2)


def leave():
    raise SystemExit(3)


print(in_fork(answer), ceil_div(7, 2), in_fork(leave))
"""


def test_functions_and_methods_are_changed_one_thing_at_a_time() -> None:
    changes = {change_of(mutant) for mutant in mutants_of("till.py", SOURCE)}

    assert Change("till.fee", "if amount < 0:", "if amount <= 0:") in changes
    assert Change("till.fee", "return amount + 5", "return amount - 5") in changes
    assert Change("till.Till.is_open", 'return key == "north"', 'return key == "XXnorthXX"') in changes


def test_sentences_for_people_are_left_as_they_are() -> None:
    changed = [mutant.now for mutant in mutants_of("till.py", SOURCE) if mutant.was.startswith("raise")]

    assert changed == ["raise ValueError(None)"]


def test_mutant_is_put_into_a_copy_of_the_process_only() -> None:
    ran = subprocess.run([sys.executable, "-c", SWITCH], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ran.stdout == "3.5 4 None\n"


def test_mutant_of_a_method_can_be_put_in() -> None:
    """One that cannot be would die of it, which counts as killed. The `__init__` of an exception asks for its class besides."""
    mutant = next(mutants_of("book.py", (ROOT / "app/pricing/book.py").read_text()))

    assert mutant.name == "BookError.__init__"
    assert in_fork(partial(_code_of, mutant)) == mutant.name


def _code_of(mutant: Mutant) -> str:
    mutant.put_in()
    return loaded_function(mutant.path, mutant.name).__code__.co_qualname


def test_survivor_is_explained_by_its_lines_or_by_its_family() -> None:
    explained = read_explained(EXPLANATIONS)

    assert explained.why(Change("till.fee", "if amount < 0:", "if amount <= 0:")) == "No amount is 0."
    assert explained.why(Change("till.other", 'raise ValueError("x")', "raise ValueError(None)")) == "Text."
    assert explained.why(Change("till.fee", "if amount < 0:", "if amount < 1:")) is None
    assert explained.why(Change("till.other", "if amount < 0:", "if amount <= 0:")) is None


def test_explanation_of_a_mutant_that_is_killed_is_out_of_date() -> None:
    explained = read_explained(EXPLANATIONS)
    tried = [change_of(mutant) for mutant in mutants_of("till.py", SOURCE)]
    [named] = explained.changes

    assert explained.out_of_date(tried, [named]) == []
    assert explained.out_of_date(tried, []) == [named]
    assert explained.out_of_date([], []) == []


@pytest.mark.parametrize("fault", [EXPLANATIONS * 2, EXPLANATIONS.replace("No amount is 0.", " ")])
def test_explanation_is_given_once_and_says_something(fault: str) -> None:
    with pytest.raises(ValueError, match=r"^explained twice|^an explanation is empty"):
        read_explained(fault)


def test_each_explained_line_stands_in_its_function() -> None:
    """The quick half of `make mutation`: a line that was edited needs its explanation looked at again."""
    missing = []
    for function, was, _ in read_explained(EXPLAINED.read_text()).changes:
        lines = set(_lines_of(function))
        missing += [f"{function}: {line}" for line in was.splitlines() if line not in lines]

    assert missing == []


def _lines_of(function: str) -> list[str]:
    """The lines of the file that the function is in, without their indent, if the function is in it."""
    parts = function.split(".")
    for n_own in (1, 2):
        path = ROOT.joinpath("app", "pricing", *parts[:-n_own]).with_suffix(".py")
        if path.exists():
            text = path.read_text()
            defined = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
            return [line.strip() for line in text.splitlines()] if parts[-1] in defined else []
    return []
