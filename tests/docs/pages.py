"""The documentation as tests see it: pages, their fenced blocks, and the exchanges that a page shows.

An `http` block is a request as it goes over the line: method and path, headers if any, an empty line, the body; `###` parts several of
them. A `sh` block of `curl` is requests too, unless it reads a file. The block `json reply` after it is what the service
answers, shortened; `json 422` is an answer with that status. Braces in a path, header or body (`{id}`) stand for that member of the last
reply that has it. A plain `json` block is not sent.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
HERE: Final = "http://127.0.0.1:8080"
# What a reader may take for any value, or in a list for any further members.
ANY: Final = "…"
SAMPLE_SHOP: Final = "<!-- the examples of this page run on the sample shop -->"
_FENCE: Final = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_REQUEST: Final = re.compile(r"(?P<method>GET|PUT|POST|DELETE) (?P<path>/\S*)")


class Block(NamedTuple):
    """A fenced block: the line it begins on, its language and the words after that."""

    line: int
    language: str
    words: tuple[str, ...]
    text: str


class Exchange(NamedTuple):
    """A request, and what the page says of the answer: its status (None: any that is no refusal) and a part of its body."""

    line: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: str
    status: int | None
    reply: Any


def pages() -> list[Path]:
    """Every page, the README first."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    """The page's path in the repository."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text()
    found = []
    for match in _FENCE.finditer(text):
        language, *words = match["info"].split() or [""]
        found.append(Block(text.count("\n", 0, match.start()) + 1, language, tuple(words), match["text"]))
    return found


def prose(page: Path) -> str:
    """The text of a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def exchanges(page: Path) -> list[Exchange]:
    """The requests of a page in order. Raises ValueError for a block that cannot be read."""
    found: list[Exchange] = []
    for block in blocks(page):
        if block.language == "http":
            found += [_request(block, part.strip("\n")) for part in re.split(r"^###.*$", block.text, flags=re.MULTILINE)]
        elif block.language == "sh" and block.text.startswith("curl ") and "--data-binary @" not in block.text:
            found += [_curl(block, text) for text in re.split(r"\n(?=curl )", block.text.strip())]
        elif block.language == "json" and block.words:
            if not found or found[-1].reply is not None:
                raise ValueError(f"{name_of(page)}:{block.line}: a reply to nothing")
            [word] = block.words
            status = None if word == "reply" else int(word)
            found[-1] = found[-1]._replace(status=status, reply=json.loads(block.text))
    return found


def _request(block: Block, text: str) -> Exchange:
    head, _, body = text.partition("\n\n")
    first, *rest = head.splitlines()
    match = _REQUEST.fullmatch(first)
    if match is None:
        raise ValueError(f"line {block.line}: {first!r} is no request")
    headers = dict(line.split(": ", 1) for line in rest)
    if body and "Content-Type" not in headers:
        headers["Content-Type"] = "application/json"
    return Exchange(block.line, match["method"], match["path"], headers, body, None, None)


def _curl(block: Block, text: str) -> Exchange:
    """The few options of curl that the pages use."""
    words = iter(shlex.split(text.replace("\\\n", " "))[1:])
    method, path, headers, body = "GET", "", {}, ""
    for word in words:
        match word:
            case "-s":
                pass
            case "-X":
                method = next(words)
            case "-H":
                header, value = next(words).split(": ", 1)
                headers[header] = value
            case "-d":
                method, body = "POST" if method == "GET" else method, next(words)
            case _ if word.startswith(HERE + "/") and not path:
                path = word.removeprefix(HERE)
            case _:
                raise ValueError(f"line {block.line}: curl {word}")
    return Exchange(block.line, method, path, headers, body, None, None)


def differences(shown: Any, real: Any, path: str = "reply") -> Iterator[str]:
    """Where a shown reply is not a part of the real one. Objects may leave members out, lists only where `…` ends them."""
    if shown == ANY:
        return
    if isinstance(shown, dict) and isinstance(real, dict):
        for name, value in shown.items():
            if name in real:
                yield from differences(value, real[name], f"{path}.{name}")
            else:
                yield f"{path}.{name} is not there"
    elif isinstance(shown, list) and isinstance(real, list):
        is_open = bool(shown) and shown[-1] == ANY
        wanted = shown[:-1] if is_open else shown
        if len(real) < len(wanted) or (len(real) > len(wanted) and not is_open):
            yield f"{path} has {len(real)} members, not {len(wanted)}: {real!r}"
        for number, (value, found) in enumerate(zip(wanted, real, strict=False)):
            yield from differences(value, found, f"{path}[{number}]")
    elif shown != real or type(shown) is not type(real):
        yield f"{path} is {real!r}, not {shown!r}"
