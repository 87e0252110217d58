from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.entity import geid
from twin.errors import MisuseError

VALUES = {letter: value for value, letter in enumerate(geid.ALPHABET)}
KEYS = st.text(st.characters(codec="utf-8"), max_size=30)


def values(text: str) -> np.ndarray:
    return np.array([[VALUES[c] for c in text.replace("-", "")]], dtype=np.uint8)


def test_minting_is_pinned_for_ever() -> None:
    """These identifiers are in the world: a change of the derivation must not pass."""
    assert geid.mint("310105", ["survey/4711", "survey/长宁", ""]) == PINNED


PINNED = ["zkj3-0nj2-9rrx-cjjf", "0dze-8kxd-pak2-4vs4", "kg84-few2-d74q-ydpr"]


def test_every_single_substitution_changes_the_syndrome() -> None:
    """The code is linear over GF(32): an error e at place i is missed exactly if weight(i) * e is 0. All are tried."""
    errors = np.zeros((16 * 31, 16), dtype=np.uint8)
    for row, (place, error) in enumerate(itertools.product(range(16), range(1, 32))):
        errors[row, place] = error
    assert np.all(geid.syndrome(errors) != 0)


def test_every_transposition_of_any_two_different_characters_changes_the_syndrome() -> None:
    """Swapping a and b at places i and j adds a ^ b at both: all places, all differences are tried."""
    pairs = list(itertools.combinations(range(16), 2))
    errors = np.zeros((len(pairs) * 31, 16), dtype=np.uint8)
    for row, ((one, other), difference) in enumerate(itertools.product(pairs, range(1, 32))):
        errors[row, [one, other]] = difference
    assert np.all(geid.syndrome(errors) != 0)


@settings(deadline=None)
@given(a=st.integers(0, 31), b=st.integers(0, 31), place=st.integers(0, 15))
def test_the_syndrome_is_linear(a: int, b: int, place: int) -> None:
    """What the two exhaustive tests rest on."""
    words = np.zeros((3, 16), dtype=np.uint8)
    words[:, place] = a, b, a ^ b
    one, other, both = geid.syndrome(words)
    assert one ^ other == both


@settings(deadline=None)
@given(KEYS, st.integers(0, 15), st.sampled_from(geid.ALPHABET))
def test_a_wrong_character_in_a_real_identifier_is_found(key: str, place: int, wrong: str) -> None:
    text = geid.mint("a", [key])[0].replace("-", "")
    assert geid.check(text[:place] + wrong + text[place + 1 :]) == (text[place] == wrong)


@settings(deadline=None)
@given(st.lists(KEYS, max_size=20, unique=True))
def test_minting_depends_on_nothing_but_authority_and_key(keys: list[str]) -> None:
    minted = geid.mint("310105", keys)
    assert minted == [geid.mint("310105", [key])[0] for key in keys]
    assert all(geid.check(text) and geid.normalise(text) == text for text in minted)
    assert len(set(minted)) == len(keys)
    assert not set(minted) & set(geid.mint("310104", keys))


def test_authority_and_key_do_not_run_together() -> None:
    assert geid.mint("ab", ["c"]) != geid.mint("a", ["bc"])
    for authority in ("", "a\0b"):
        with pytest.raises(MisuseError):
            geid.mint(authority, ["c"])


def test_a_hundred_thousand_keys_give_as_many_identifiers_spread_evenly() -> None:
    minted = geid.mint("310105", [f"survey/{i}" for i in range(100_000)])
    assert len(set(minted)) == 100_000
    letters = np.array(minted, dtype="S19").view("u1").reshape(-1, 19)
    for column in set(range(19)) - {4, 9, 14}:
        counts = np.bincount(letters[:, column], minlength=256)
        assert np.count_nonzero(counts) == 32
        assert counts[counts > 0].min() > 2_800  # 3125 expected


@settings(deadline=None)
@given(KEYS)
def test_every_spelling_of_an_identifier_is_read(key: str) -> None:
    text = geid.mint("x", [key])[0]
    wide = "".join(chr(ord(c) + 0xFEE0) for c in text.upper())
    spoken = text.upper().replace("0", "O").replace("1", "L")
    for spelling in (
        text.upper(),
        text.replace("-", ""),
        text.replace("-", " "),
        f"  {text}\n",
        text.replace("-", "–"),
        wide,
        spoken,
        text.replace("1", "I").replace("0", "o"),
        f"urn:geid:{text}",
        f"geid:{text}",
        f"https://twin.example/entities/{text.upper()}?f=json#top",
        f"/entities/{text}/",
    ):
        assert geid.normalise(spelling) == text
        assert geid.check(spelling)


@settings(deadline=None)
@given(KEYS, st.integers(0, 15), st.sampled_from(geid.ALPHABET))
def test_the_right_identifier_is_among_the_suggestions_for_a_wrong_character(key: str, place: int, wrong: str) -> None:
    right = geid.mint("x", [key])[0]
    bare = right.replace("-", "")
    found = geid.explain(bare[:place] + wrong + bare[place + 1 :])
    assert right in (found.suggestions or (found.geid,))
    assert all(geid.check(text) for text in found.suggestions)
    assert len(found.suggestions) <= 16 + 15


@settings(deadline=None)
@given(KEYS, st.integers(0, 14))
def test_a_swap_of_neighbours_is_suggested_first_rank(key: str, place: int) -> None:
    right = geid.mint("x", [key])[0]
    bare = right.replace("-", "")
    swapped = bare[:place] + bare[place + 1] + bare[place] + bare[place + 2 :]
    if swapped != bare:
        assert right in geid.explain(swapped).suggestions[:15]


@settings(deadline=None)
@given(KEYS, st.integers(0, 15))
def test_a_character_left_out_or_doubled_is_found(key: str, place: int) -> None:
    right = geid.mint("x", [key])[0]
    bare = right.replace("-", "")
    assert right in geid.explain(bare[:place] + bare[place + 1 :]).suggestions
    doubled = geid.explain(bare[: place + 1] + bare[place:])
    assert right in doubled.suggestions
    assert "too many" in doubled.problem


def test_a_character_outside_the_alphabet_is_named() -> None:
    right = geid.mint("x", ["y"])[0]
    found = geid.explain("u" + right[1:])
    assert "character 1, 'u'" in found.problem
    assert right in found.suggestions
    assert all(text[1:] == right[1:] for text in found.suggestions)


@pytest.mark.parametrize(
    "text", ["", " ", "-", "hello", "7k3m", "a" * 1000, "!!!!-!!!!-!!!!-!!!!", "\0", "urn:geid:", "长宁区"]
)
def test_what_is_no_identifier_is_refused_with_a_reason(text: str) -> None:
    assert not geid.check(text)
    assert geid.explain(text).problem
    with pytest.raises(MisuseError, match="is not an identifier"):
        geid.normalise(text)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_text_makes_it_fall_over(text: str) -> None:
    found = geid.explain(text)
    assert (found.geid is not None) == geid.check(text) == (not found.problem)
    part = geid.partial(text)
    assert part is None or geid.partial(part) == part


def test_the_error_names_likely_identifiers() -> None:
    right = geid.mint("x", ["y"])[0]
    swapped = right[1] + right[0] + right[2:]
    assert swapped != right
    with pytest.raises(MisuseError, match="did you mean"):
        geid.normalise(swapped)
