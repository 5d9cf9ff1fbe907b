"""Codes made from a seed: each can be told from its number, and whether a text is one of them from the text alone.

Nothing is kept for a code, so a coupon of 100 000 codes costs a book as much as a coupon of one. Each has 60 bits that nobody can guess
without the seed, and 20 that hide its number.
"""

from hashlib import blake2b
from typing import Final, NamedTuple

# Without 0, O, 1 and I, which people take for one another.
ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
COUNT_MAX: Final = 100_000
_MARK_LETTERS: Final = 2
_NUMBER_LETTERS: Final = 4
_PROOF_LETTERS: Final = 12
# What follows the part that all codes of a coupon begin with.
_OWN_LETTERS: Final = _NUMBER_LETTERS + _PROOF_LETTERS
_DIGIT_OF: Final = {letter: digit for digit, letter in enumerate(ALPHABET)}


class GeneratedCodes(NamedTuple):
    """All codes of one coupon. The first ones stay what they are when there are more; another prefix or seed makes others."""

    prefix: str
    seed: str
    n_codes: int

    @property
    def beginning(self) -> str:
        """What all of them begin with: the prefix, and two letters by which few coupons of one prefix are alike."""
        return self.prefix + _letters(self._hash(b"mark", b""), _MARK_LETTERS)

    def code(self, number: int) -> str:
        """The code of a number below `n_codes`."""
        proof = self._proof(number)
        own = _letters(number ^ self._mask(proof), _NUMBER_LETTERS) + _letters(proof, _PROOF_LETTERS)
        return self.beginning + own

    def has(self, text: str) -> bool:
        """Whether a text with their beginning is one of the codes: it says which number it would have, and must have that number's proof."""
        own = text[-_OWN_LETTERS:]
        if not all(letter in _DIGIT_OF for letter in own):
            return False
        proof = _value(own[_NUMBER_LETTERS:])
        number = _value(own[:_NUMBER_LETTERS]) ^ self._mask(proof)
        return number < self.n_codes and self._proof(number) == proof

    def _proof(self, number: int) -> int:
        return self._hash(b"proof", number.to_bytes(4)) % 32**_PROOF_LETTERS

    def _mask(self, proof: int) -> int:
        return self._hash(b"mask", proof.to_bytes(8)) % 32**_NUMBER_LETTERS

    def _hash(self, use: bytes, content: bytes) -> int:
        # The prefix belongs to what is hashed, so that codes of one prefix tell nothing of those of another.
        hashed = self.prefix.encode() + b"\0" + content
        return int.from_bytes(blake2b(hashed, digest_size=8, key=bytes.fromhex(self.seed), person=use).digest())


def beginning_of(text: str) -> str:
    """What a text would begin with if it were a generated code."""
    return text[:-_OWN_LETTERS]


def _letters(value: int, count: int) -> str:
    return "".join(ALPHABET[value >> 5 * place & 31] for place in reversed(range(count)))


def _value(letters: str) -> int:
    value = 0
    for letter in letters:
        value = value * 32 + _DIGIT_OF[letter]
    return value
