"""Reads the request headers that choose a representation: Accept-Encoding, If-None-Match, If-Range and Range."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

IDENTITY = "identity"
#: Order among codings the client likes equally: the denser first.
PREFERENCE = ("br", "zstd", "gzip", IDENTITY)
#: Longer headers are answered without being remembered, so that a client cannot fill the memory with them.
REMEMBERED_LENGTH = 256

_QVALUE = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
_ENTITY_TAG = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_SINGLE_RANGE = re.compile(r"(\d*)-(\d*)")


def _quality(parameters: Sequence[str]) -> float:
    """The weight of one coding (RFC 9110 §12.4.2); a malformed one counts as 0, a missing one as 1."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            value = value.strip()
            return float(value) if _QVALUE.fullmatch(value) else 0.0
    return 1.0


def parse_accept_encoding(header: str) -> dict[str, float]:
    """Coding to weight, lower case; `x-gzip` is `gzip` (RFC 9110 §8.4.1.3)."""
    weights: dict[str, float] = {}
    for element in header.split(","):
        coding, *parameters = element.split(";")
        name = coding.strip().lower()
        if name:
            weights["gzip" if name == "x-gzip" else name] = _quality(parameters)
    return weights


def _choose(header: bytes | None, offers: Sequence[str]) -> str | None:
    if header is None:
        return IDENTITY
    weights = parse_accept_encoding(header.decode("latin-1"))
    rest = weights.get("*")

    def weight(coding: str) -> float:
        if coding in weights:
            return weights[coding]
        if rest is not None:
            return rest
        # Identity is acceptable unless it is excluded, but never preferred to a coding that was asked for.
        return 1e-4 if coding == IDENTITY else 0.0

    best = max(offers, key=lambda coding: (weight(coding), -PREFERENCE.index(coding)))
    return best if weight(best) > 0 else None


_remembered = lru_cache(maxsize=512)(_choose)


def choose_encoding(header: bytes | None, offers: tuple[str, ...]) -> str | None:
    """Chooses a content coding (RFC 9110 §12.5.3).

    Args:
        header: Value of Accept-Encoding; None where the request has none, which gets the plain bytes.
        offers: The codings at hand, each one of `PREFERENCE`, `identity` among them.

    Returns:
        A coding, or None where the client accepts none of them.
    """
    if header is not None and len(header) > REMEMBERED_LENGTH:
        return _choose(header, offers)
    return _remembered(header, offers)


def matches(if_none_match: bytes, etag: bytes) -> bool:
    """Weak comparison of If-None-Match with an entity tag in quotes (RFC 9110 §13.1.2)."""
    if if_none_match == etag:
        return True
    if if_none_match.strip() == b"*":
        return True
    return etag.removeprefix(b"W/") in _ENTITY_TAG.findall(if_none_match)


def range_applies(if_range: str | None, etag: str) -> bool:
    """True if the Range header counts (RFC 9110 §13.1.5): strong comparison; a date never matches, we send none."""
    return if_range is None or (if_range.strip() == etag and not etag.startswith("W/"))


class UnsatisfiableRangeError(Exception):
    """The range lies outside the file, or several were asked for at once."""


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Reads a Range header with exactly one range (RFC 9110 §14.2).

    Several ranges in one request are refused: answering them cost other servers their life (CVE-2025-62727).

    Args:
        header: The value.
        size: Length of the file in bytes.

    Returns:
        First and last byte, both inclusive, or None where the header must be ignored (another unit, or not a range).

    Raises:
        UnsatisfiableRangeError: Outside the file, or more than one range.
    """
    unit, separator, text = header.partition("=")
    if not separator or unit.strip().lower() != "bytes":
        return None
    if "," in text:
        raise UnsatisfiableRangeError
    match = _SINGLE_RANGE.fullmatch(text.strip())
    if match is None or match[0] == "-" or max(len(part) for part in match.groups()) > 19:
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        span = (size - length, size - 1)
    else:
        span = (int(first), min(int(last), size - 1) if last else size - 1)
        if last and int(last) < int(first):
            return None
    if span[0] > span[1]:
        raise UnsatisfiableRangeError
    return span
