"""The thin path of entities gives the garbage collector nothing to walk through, and says what the long way says."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from server.command import settle


@pytest.fixture
def unfrozen() -> Iterator[None]:
    """What a test freezes is collected again afterwards."""
    yield
    gc.unfreeze()


def test_ready_answers_are_nothing_the_collector_looks_at(app: Any, ask: Any, district: Any) -> None:
    """Ten thousands of them are kept: were they tracked, every full collection would hold the requests."""
    for building in district.buildings:
        assert ask(app, f"/entities/{building.geid}").status == 200
    kept = app._entities._ready
    assert len(kept) == len(district.buildings)
    gc.collect()  # a tuple of plain values is let go when it is first met
    assert not [one for one in kept.values() if gc.is_tracked(one)]


def test_a_ready_answer_is_that_of_the_long_way(app: Any, ask: Any, district: Any) -> None:
    path = f"/entities/{district.buildings[0].geid}"
    short = ask(app, path)
    long = ask(app, f"{path}?f=json")  # a query goes the long way
    assert (short.status, short.body, dict(short.headers)) == (long.status, long.body, dict(long.headers))
    etag = short.headers["etag"]
    for answer in (ask(app, path, if_none_match=etag), ask(app, f"{path}?f=json", if_none_match=etag)):
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    head = ask(app, path, "HEAD")
    assert (head.body, head.headers["content-length"]) == (b"", str(len(short.body)))


@pytest.mark.usefixtures("unfrozen")
def test_what_a_server_begins_with_is_not_collected_again() -> None:
    gc.unfreeze()
    before = len(gc.get_objects())
    settle()
    assert gc.get_freeze_count() > before // 2 > 1000
    assert len(gc.get_objects()) < before // 10
