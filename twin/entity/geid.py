"""Identifiers people can read out: minted from a digest, with a check character, explained when mistyped (D4)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.errors import MisuseError

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford base32, lower case: no i, l, o, u."""

LENGTH = 16
"""Characters without the dashes; the last one is the check character."""

TEXT_LENGTH = 19
"""Characters as written, `7k3m-z9q2-4hdx-p1w8`."""

_PRIMITIVE = 0b100101  # x^5 + x^2 + 1: its root generates GF(32)
_DIGEST_BYTES = 10  # 80 bits, of which the first 75 are used
_DATA = LENGTH - 1
_TEXT_COLUMNS = np.array([i + i // 4 for i in range(LENGTH)])
_READ_AS = {"o": "0", "i": "1", "l": "1"}
_DASHES = frozenset("-_.\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u3001\u30fc\u4e00")
# What is mistaken for each other on paper and over the radio; only the order of the suggestions rests on it.
_LOOK_ALIKE = ("0dq", "17", "2z", "5s", "8b", "6g", "vwy", "mn", "ce", "bdpte", "kj", "fs", "38", "49", "hn", "uv")


def _multiplication_rows() -> NDArray[np.uint8]:
    """Table `[position, value] -> weight(position) * value` over GF(32); weights are distinct powers, the last is 1."""
    table = np.zeros((LENGTH, 32), dtype=np.uint8)
    for position in range(LENGTH):
        for value in range(32):
            product = value
            for _ in range((position + 1) % LENGTH):  # alpha^1 ... alpha^15, then alpha^0 for the check character
                product <<= 1
                if product & 32:
                    product ^= _PRIMITIVE
            table[position, value] = product
    return table


_WEIGHTED = _multiplication_rows()
_ROWS: list[list[int]] = _WEIGHTED.tolist()  # for one identifier at a time
_LETTERS = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
_VALUE = {letter: value for value, letter in enumerate(ALPHABET)}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known about a text that should be an identifier.

    Attributes:
        given: The text as typed.
        geid: The identifier it stands for, or None if it stands for none.
        problem: What is wrong, as one sentence; empty if nothing is.
        suggestions: Valid identifiers one slip away, the likeliest first.
    """

    given: str
    geid: str | None
    problem: str = ""
    suggestions: tuple[str, ...] = ()


def mint(authority: str, keys: Sequence[str]) -> list[str]:
    """Derives an identifier from each key; the same authority and key always give the same one.

    Args:
        authority: Who mints, for example the admin code; part of the digest.
        keys: What is named, unique within the authority, for example `survey/4711`.

    Returns:
        One identifier a key, in the form `7k3m-z9q2-4hdx-p1w8`.

    Raises:
        MisuseError: If the authority is empty or holds a NUL.
    """
    text = _minted(authority, "", [key.encode("utf-8", "surrogatepass") for key in keys])
    written: list[str] = text.view(f"S{TEXT_LENGTH}").ravel().astype(f"U{TEXT_LENGTH}").tolist()
    return written


def mint_column(authority: str, within: str, keys: pa.StringArray) -> pa.StringArray:
    """`mint` for a column of keys without nulls, each with `within` in front of it: the same identifiers, sooner."""
    offsets = np.frombuffer(keys.buffers()[1], np.int32)[keys.offset : keys.offset + len(keys) + 1].tolist()
    content = b"" if keys.buffers()[2] is None else keys.buffers()[2].to_pybytes()
    text = _minted(authority, within, [content[start:end] for start, end in pairwise(offsets)])
    ends = np.arange(len(keys) + 1, dtype=np.int32) * TEXT_LENGTH
    return pa.StringArray.from_buffers(len(keys), pa.py_buffer(ends), pa.py_buffer(text))


def _minted(authority: str, within: str, keys: Sequence[bytes]) -> NDArray[np.uint8]:
    """(n, 19) u8, the characters of an identifier a key."""
    if not authority or "\0" in authority:
        raise MisuseError("the minting authority is empty or holds a NUL", next_step="set [project] authority")
    start = blake2b(authority.encode() + b"\0" + within.encode(), digest_size=_DIGEST_BYTES, person=b"geid-1")
    digests = bytearray()
    for key in keys:
        state = start.copy()
        state.update(key)
        digests += state.digest()
    return _write(_data_values(np.frombuffer(bytes(digests), dtype=np.uint8).reshape(-1, _DIGEST_BYTES)))


def _data_values(digests: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, 10) u8 digests -> (n, 16) u8 values 0..31, the check value last."""
    wide = np.zeros((len(digests), _DIGEST_BYTES + 1), dtype=np.uint16)
    wide[:, :_DIGEST_BYTES] = digests
    bit = np.arange(_DATA) * 5
    byte, shift = bit // 8, (11 - bit % 8).astype(np.uint16)
    values = np.empty((len(digests), LENGTH), dtype=np.uint8)
    values[:, :_DATA] = (((wide[:, byte] << 8) | wide[:, byte + 1]) >> shift) & 31
    values[:, _DATA] = 0
    values[:, _DATA] = syndrome(values)
    return values


def syndrome(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Weighted sum over GF(32); 0 exactly for valid identifiers.

    Args:
        values: (n, 16) u8, each 0..31.

    Returns:
        (n,) u8.
    """
    total = np.zeros(len(values), dtype=np.uint8)
    for position in range(LENGTH):
        total ^= _WEIGHTED[position][values[:, position]]
    return total


def _write(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    text = np.full((len(values), TEXT_LENGTH), ord("-"), dtype=np.uint8)
    text[:, _TEXT_COLUMNS] = _LETTERS[values]
    return text


def simplify(text: str) -> str:
    """The characters that count: no prefixes, spaces or dashes, full-width letters narrowed, O read as 0, I and L as 1.

    A URL or URN counts by its last part: `urn:geid:7k3m...`, `https://host/entities/7K3M-...?f=json`.
    """
    narrow = unicodedata.normalize("NFKC", text).strip().lower()
    last = narrow.split("#", 1)[0].split("?", 1)[0].rstrip("/").replace(":", "/").rsplit("/", 1)[-1]
    return "".join(_READ_AS.get(c, c) for c in last if c not in _DASHES and not c.isspace())


def _dashed(characters: str) -> str:
    return "-".join(characters[i : i + 4] for i in range(0, len(characters), 4))


def partial(text: str) -> str | None:
    """The beginning of an identifier in written form, or None if the text cannot be one: `7K3MZ` -> `7k3m-z`."""
    characters = simplify(text)
    if not characters or len(characters) > LENGTH or any(c not in _VALUE for c in characters):
        return None
    return _dashed(characters)


def _is_valid(characters: str) -> bool:
    if len(characters) != LENGTH or any(c not in _VALUE for c in characters):
        return False
    total = 0
    for row, character in zip(_ROWS, characters, strict=True):
        total ^= row[_VALUE[character]]
    return total == 0


def check(text: str) -> bool:
    """True if the text is an identifier, in whatever spelling, and its check character fits."""
    return _is_valid(simplify(text))


def normalise(text: str) -> str:
    """Writes an identifier the one way: lower case, in groups of four.

    Raises:
        MisuseError: If it is none, with the likely slips as the next step.
    """
    characters = simplify(text)
    if _is_valid(characters):
        return _dashed(characters)
    found = explain(text)
    likely = f"did you mean {' or '.join(found.suggestions[:3])}?" if found.suggestions else "ask for it to be read out"
    raise MisuseError(f"{text[:80]!r} is not an identifier: {found.problem}", next_step=likely)


def explain(text: str) -> Explanation:
    """Says what is wrong with a mistyped identifier and which valid ones are one slip away.

    One check character finds an error but cannot say where it is: the suggestions are every single wrong character,
    every swap of neighbours, every character left out or typed twice, sorted by how likely the slip is.
    """
    characters = simplify(text)
    if _is_valid(characters):
        return Explanation(text, _dashed(characters))
    strange = [i for i, c in enumerate(characters) if c not in _VALUE]
    if len(strange) > 1 or abs(len(characters) - LENGTH) > 1:
        return Explanation(text, None, _form_problem(characters, strange))
    if strange:
        problem = f"character {strange[0] + 1}, {characters[strange[0]]!r}, never occurs in an identifier"
    elif len(characters) < LENGTH:
        problem = "one character is missing"
    elif len(characters) > LENGTH:
        problem = "there is one character too many"
    else:
        problem = "the check character does not fit, so at least one character is wrong or two are swapped"
    return Explanation(text, None, problem, _suggest(characters, strange))


def _form_problem(characters: str, strange: list[int]) -> str:
    if strange and len(characters) == LENGTH:
        letters = ", ".join(repr(characters[i]) for i in strange[:4])
        return f"it holds characters that never occur in an identifier: {letters}"
    return f"an identifier has {LENGTH} letters and digits, this has {len(characters)}"


def _suggest(characters: str, strange: list[int]) -> tuple[str, ...]:
    found: dict[str, int] = {}
    for rank, candidate in _slips(characters, strange):
        if _is_valid(candidate):
            found[candidate] = min(rank, found.get(candidate, rank))
    return tuple(_dashed(candidate) for candidate in sorted(found, key=lambda c: (found[c], c)))


def _slips(characters: str, strange: list[int]) -> list[tuple[int, str]]:
    """Candidates one slip away with their rank: 0 swaps and doubled characters, 1 look-alikes, 2 the rest."""
    if len(characters) == LENGTH:
        places = strange or range(LENGTH)
        wrong = [
            (1 if _alike(characters[i], c) else 2, characters[:i] + c + characters[i + 1 :])
            for i in places
            for c in ALPHABET
        ]
        swaps = [
            (0, characters[:i] + characters[i + 1] + characters[i] + characters[i + 2 :]) for i in range(LENGTH - 1)
        ]
        return wrong + ([] if strange else swaps)
    if len(characters) > LENGTH:
        return [
            (0 if i and characters[i] == characters[i - 1] else 2, characters[:i] + characters[i + 1 :])
            for i in (strange or range(len(characters)))
        ]
    if strange:
        return []
    return [
        (0 if i and c == characters[i - 1] else 2, characters[:i] + c + characters[i:])
        for i in range(LENGTH)
        for c in ALPHABET
    ]


def _alike(one: str, other: str) -> bool:
    return any(one in group and other in group for group in _LOOK_ALIKE)
