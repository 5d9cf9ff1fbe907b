"""The mutants of a module: mutmut's changes, each put into the running process by itself.

mutmut thinks of the changes. A mutant is put in by giving the function that is loaded another code object, so whoever imported it gets
the mutant too, and one warm process can be copied for each of thousands.
"""

import __future__

import difflib
import importlib
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import libcst
from mutmut.mutation.file_mutation import Mutation, create_mutations, deep_replace

ROOT = Path(__file__).parents[2]

# A string in which a blank stands between two letters is a sentence for people. Its letters decide nothing.
_SENTENCE = re.compile(r"[a-z] [a-z]")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed function."""

    path: str  # of its file below app/pricing, as `rules/tiered.py`
    name: str  # of the function in its module, as `allocate` or `Groups.sum`
    was: str  # the lines that the change takes away, without their indent
    now: str  # what stands in their place
    source: str  # of the changed function

    @property
    def function(self) -> str:
        return f"{self.path.removesuffix('.py').replace('/', '.')}.{self.name}"

    def put_in(self) -> None:
        """Make the loaded function the mutant, for as long as this process lives."""
        loaded = loaded_function(self.path, self.name)
        mutated = _function_of(self.source, self.name, loaded.__globals__)
        loaded.__code__ = mutated.__code__
        loaded.__defaults__ = mutated.__defaults__
        loaded.__kwdefaults__ = mutated.__kwdefaults__


def mutants_of(path: str, source: str) -> Iterator[Mutant]:
    """The mutants of a module's functions and methods, in the order of its lines. What is decorated mutmut leaves alone."""
    module, mutations, _, _ = create_mutations(path, source)
    names = _names_of_functions(module)
    for mutation in mutations:
        function = mutation.contained_by_top_level_function
        if not isinstance(function, libcst.FunctionDef) or _is_sentence(mutation):
            continue
        before = module.code_for_node(function)
        after = deep_replace(function, mutation.original_node, mutation.mutated_node)
        assert isinstance(after, libcst.FunctionDef)
        changed = module.code_for_node(after)
        was, now = _changed_lines(before, changed)
        yield Mutant(path, names[function], was, now, changed)


def loaded_function(path: str, name: str) -> types.FunctionType:
    """The function of that name as it is loaded."""
    found: object = importlib.import_module("app.pricing." + path.removesuffix(".py").replace("/", "."))
    for part in name.split("."):
        found = vars(found)[part]
    if isinstance(found, staticmethod | classmethod):
        found = found.__func__
    assert isinstance(found, types.FunctionType)
    return found


def _is_sentence(mutation: Mutation) -> bool:
    node = mutation.original_node
    return isinstance(node, libcst.SimpleString) and _SENTENCE.search(node.value) is not None


def _names_of_functions(module: libcst.Module) -> dict[libcst.CSTNode, str]:
    names: dict[libcst.CSTNode, str] = {}
    for statement in module.body:
        if isinstance(statement, libcst.FunctionDef):
            names[statement] = statement.name.value
        elif isinstance(statement, libcst.ClassDef):
            for member in statement.body.body:
                if isinstance(member, libcst.FunctionDef):
                    names[member] = f"{statement.name.value}.{member.name.value}"
    return names


def _changed_lines(before: str, after: str) -> tuple[str, str]:
    was, now = [], []
    for line in difflib.ndiff(before.splitlines(), after.splitlines()):
        if line.startswith("- "):
            was.append(line[2:].strip())
        elif line.startswith("+ "):
            now.append(line[2:].strip())
    return "\n".join(was), "\n".join(now)


def _function_of(source: str, name: str, module: dict[str, object]) -> types.FunctionType:
    """The function that the source defines, over the names of its module."""
    *owner, own = name.split(".")
    text = source.strip("\n")
    if owner:
        text = f"class {owner[0]}:\n{indent(text, '    ')}"
    made: dict[str, object] = {}
    # Annotations are not evaluated: some name what is imported for the type checker only.
    exec(compile(text, f"<mutant of {name}>", "exec", __future__.annotations.compiler_flag, dont_inherit=True), module, made)
    found = vars(made[owner[0]])[own] if owner else made[own]
    if isinstance(found, staticmethod | classmethod):
        found = found.__func__
    assert isinstance(found, types.FunctionType)
    return found
