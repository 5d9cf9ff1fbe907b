"""What an `Idempotency-Key` may look like, and what makes two requests under it the same."""

import hashlib
import re
from typing import Final

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


def is_key(text: str) -> bool:
    """Whether a header's value will do as a key."""
    return _KEY.fullmatch(text) is not None


def fingerprint(
    method: str, path: str, query: str, media_type: str, body: bytes, *, if_match: str = "", if_none_match: str = ""
) -> bytes:
    """The hash of these parts of a request."""
    digest = hashlib.sha256()
    for part in (method, path, query, media_type, if_match, if_none_match):
        encoded = part.encode("utf-8", "surrogateescape")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    digest.update(body)
    return digest.digest()
