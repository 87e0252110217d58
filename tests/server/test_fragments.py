"""Rendered features are remembered within one bound, which the CRSs in use share."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.features import render, views
from server.features.render import Fragments
from server.features.views import Views

TEXT = b"x" * 880  # with 120 bytes of keeping, 1,000


def fake(view: Any, rows: Any, crs: Any, names: Any = None) -> list[bytes]:
    return [b"%d " % row + TEXT for row in rows]


@given(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=15), max_size=30), st.integers(4_000, 40_000))
def test_every_feature_is_told_and_no_more_is_held_than_the_bound(asked: list[list[int]], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "render", fake)
        kept = Fragments(cast(Any, None), cast(Any, None), limit)
        for rows in asked:
            assert kept.texts(np.array(rows)) == fake(None, rows, None)
            held = sum(len(text) + 120 for part in (kept._young, kept._old) for text in part.values())
            assert held <= kept.size <= limit + 16_000  # a generation ends with the page that fills it


def test_one_crs_may_have_the_whole_bound_and_several_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "render", fake)
    monkeypatch.setattr(views, "_FRAGMENT_BYTES", 100_000)
    every, view = Views(cast(Any, None)), cast(Any, object())
    first, second = (cast(Any, SimpleNamespace(uri=uri)) for uri in "ab")
    rows = np.arange(40)
    kept = every.fragments(view, first)
    kept.texts(rows)
    assert 40_000 < kept.size < 50_000
    assert len(kept._young) == len(rows)  # all of them: a third of the bound would not have held them
    every.fragments(view, second).texts(rows)
    assert every.fragments(view, first) is kept
    every.fragments(view, second).texts(np.arange(40, 60))
    kept.texts(np.arange(40, 45))
    every.fragments(view, second)  # together they are too large now
    assert every.fragments(view, second).size > 50_000
    assert every.fragments(view, first) is not kept
