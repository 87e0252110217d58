"""Content codings, entity tags and ranges are chosen as RFC 9110 says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.negotiation import (
    PREFERENCE,
    UnsatisfiableRangeError,
    choose_encoding,
    matches,
    parse_range,
    range_applies,
)

ALL = PREFERENCE


@pytest.mark.parametrize(
    ("header", "offers", "chosen"),
    [
        (None, ALL, "identity"),
        (b"", ALL, "identity"),
        (b"gzip, deflate, br, zstd", ALL, "br"),
        (b"gzip, deflate, br, zstd", ("gzip", "identity"), "gzip"),
        (b"gzip", ALL, "gzip"),
        (b"GZIP", ALL, "gzip"),
        (b"x-gzip", ALL, "gzip"),
        (b"br;q=0.5, gzip;q=0.8", ALL, "gzip"),
        (b"br;q=0, *", ALL, "zstd"),
        (b"*", ALL, "br"),
        (b"*;q=0", ALL, None),
        (b"*;q=0, gzip", ALL, "gzip"),
        (b"identity;q=0", ALL, None),
        (b"identity;q=0, gzip", ALL, "gzip"),
        (b"identity;q=0, gzip", ("identity",), None),
        (b"identity;q=0, *;q=0.1", ("identity",), None),
        (b"identity, gzip;q=0.5", ALL, "identity"),
        (b"gzip;q=0", ALL, "identity"),
        (b"gzip;q=0.001", ALL, "gzip"),
        (b"deflate, compress", ALL, "identity"),
        (b"gzip ; Q=0.3 , br ; q=0.2", ALL, "gzip"),
        (b"gzip;q=nonsense, br;q=0.1", ALL, "br"),
        (b"gzip;q=1.5", ALL, "identity"),
        (b"br, gzip" + b", x" * 200, ALL, "br"),
        (b"\xff\xfe;q=\xff", ALL, "identity"),
    ],
)
def test_the_coding_with_the_highest_weight_is_chosen(
    header: bytes | None, offers: tuple[str, ...], chosen: str | None
) -> None:
    assert choose_encoding(header, offers) == chosen


@given(st.binary(max_size=400), st.sets(st.sampled_from(PREFERENCE)))
def test_any_header_gives_an_offer_or_none(header: bytes, offered: set[str]) -> None:
    offers = tuple(coding for coding in PREFERENCE if coding in offered or coding == "identity")
    assert choose_encoding(header, offers) in {*offers, None}


@pytest.mark.parametrize(
    ("condition", "matched"),
    [
        (b'"abc"', True),
        (b'W/"abc"', True),
        (b"*", True),
        (b' "x" , W/"abc"', True),
        (b'"x","y","abc"', True),
        (b'"abc-gzip"', False),
        (b'"x, \\"abc\\""', False),
        (b"abc", False),
        (b'"ABC"', False),
        (b"", False),
        (b'"a,b", "c"', False),
    ],
)
def test_if_none_match_is_a_weak_comparison_over_a_list(condition: bytes, matched: bool) -> None:
    assert matches(condition, b'"abc"') is matched


def test_a_comma_inside_a_tag_does_not_split_it() -> None:
    assert matches(b'"a,b", "c"', b'"a,b"')


def test_if_range_is_a_strong_comparison() -> None:
    assert range_applies(None, '"a"')
    assert range_applies('"a"', '"a"')
    assert not range_applies('W/"a"', '"a"')
    assert not range_applies('W/"a"', 'W/"a"')
    assert not range_applies("Sun, 22 Nov 2026 14:00:00 GMT", '"a"')


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=0-", (0, 99)),
        ("bytes=90-1000", (90, 99)),
        ("bytes=-10", (90, 99)),
        ("bytes=-1000", (0, 99)),
        ("BYTES=1-2", (1, 2)),
        ("lines=1-2", None),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_one_range_is_read(header: str, span: tuple[int, int] | None) -> None:
    assert parse_range(header, 100) == span


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=-0", "bytes=0-1,5-6", "bytes=0-1,", "bytes=200-300"])
def test_a_range_outside_the_file_and_several_ranges_are_refused(header: str) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        parse_range(header, 100)


@given(st.text(max_size=40), st.integers(0, 1 << 50))
def test_a_range_never_leaves_the_file(text: str, size: int) -> None:
    try:
        span = parse_range(f"bytes={text}", size)
    except UnsatisfiableRangeError:
        return
    assert span is None or 0 <= span[0] <= span[1] < size
