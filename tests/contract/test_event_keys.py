"""Keys open what they are for, until they end or are taken back; nobody finds a secret in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import MisuseError, StoreError
from twin.live.keys import KeyStore, check_key, new_key, secret_hash, split_key
from twin.live.open import open_events, open_keys

NOW = 1_800_000_000_000


@pytest.fixture(params=["sqlite", "postgis"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "sqlite":
        return tmp_path / "events.sqlite"
    url: str = request.getfixturevalue("postgis_url")
    return url


@pytest.fixture
def keys(where: Path | str) -> Iterator[KeyStore]:
    store = open_keys(where)
    yield store
    store.close()


def test_a_key_comes_back_as_it_was_made_in_another_process_too(keys: KeyStore, where: Path | str) -> None:
    key, text = new_key("调度平台", ("write", "read"), ["work_order"], ["7k3m-1", "7k3m-2"], NOW + 5, NOW)
    free, other = new_key("everything", ("admin",), now_ms=NOW + 1)
    keys.add(key, secret_hash(text))
    keys.add(free, secret_hash(other))
    again = open_keys(where)
    assert again.find(key.id) == (key, secret_hash(text))
    assert list(again.all()) == [key, free]
    assert again.find("nobody") is None
    assert again.find("\x00") is None
    assert check_key(again, text, NOW) == key
    assert check_key(again, other, NOW) == free
    again.close()


def test_a_key_ends_by_itself_and_at_once_when_it_is_taken_back(keys: KeyStore, where: Path | str) -> None:
    key, text = new_key("a", expires_ms=NOW + 5, now_ms=NOW)
    keys.add(key, secret_hash(text))
    assert check_key(keys, text, NOW + 4) == key
    assert check_key(keys, text, NOW + 5) is None
    other = open_keys(where)
    assert other.revoke(key.id)
    other.close()
    assert check_key(keys, text, NOW + 4) is None
    assert not keys.revoke(key.id)
    assert not keys.revoke("nobody")
    (kept,) = keys.all()
    assert replace(kept, revoked_ms=None) == key
    assert kept.revoked_ms is not None


def test_only_the_very_secret_opens(keys: KeyStore) -> None:
    key, text = new_key("a", now_ms=NOW)
    other, foreign = new_key("b", now_ms=NOW)
    keys.add(key, secret_hash(text))
    keys.add(other, secret_hash(foreign))
    parts, strange = split_key(text), split_key(foreign)
    assert parts is not None
    assert strange is not None
    for wrong in (
        text[:-1],
        text + "x",
        text.upper(),
        f"twk_{key.id}_{strange[1]}",
        f"twk_{key.id}_",
        f"twk_{key.id}",
        f"{key.id}_{parts[1]}",
        f"twk_ffffffffffff_{parts[1]}",
        f"twk_{key.id}_{'0' * 64}",
        f"twk_{key.id}_{secret_hash(text)}",
        "",
        "twk__",
        "twk_é_é",
    ):
        assert check_key(keys, wrong, NOW) is None, wrong
    assert check_key(keys, text, NOW) == key


def test_a_key_is_added_once(keys: KeyStore) -> None:
    key, text = new_key("a", now_ms=NOW)
    keys.add(key, secret_hash(text))
    with pytest.raises(StoreError, match="already"):
        keys.add(key, secret_hash(text))


def test_no_secret_lies_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    keys = open_keys(path)
    key, text = new_key("a", now_ms=NOW)
    keys.add(key, secret_hash(text))
    keys.close()
    open_events(path).close()
    parts = split_key(text)
    assert parts is not None
    written = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert key.id.encode() in written
    assert parts[1].encode() not in written
    assert hashlib.sha256(parts[1].encode()).hexdigest() == secret_hash(text)


def test_secrets_are_long_and_never_the_same() -> None:
    made = [new_key("a")[1] for _ in range(200)]
    parts = [split_key(text) for text in made]
    assert len({part[0] for part in parts if part}) == len({part[1] for part in parts if part}) == 200
    assert all(part is not None and len(part[1]) >= 43 for part in parts)


@given(st.text())
def test_whatever_is_no_key_is_none(text: str) -> None:
    parts = split_key(text)
    assert parts is None or f"twk_{parts[0]}_{parts[1]}" == text


@pytest.mark.parametrize("may", [(), ("fly",), ("write", "fly")])
def test_a_key_for_nothing_or_nonsense_is_not_made(may: tuple[str, ...]) -> None:
    with pytest.raises(MisuseError, match="a key cannot be made"):
        new_key("a", may)
    with pytest.raises(MisuseError, match="needs a name"):
        new_key("  ", ("write",))
    with pytest.raises(MisuseError, match="no key"):
        secret_hash("twk_only")
