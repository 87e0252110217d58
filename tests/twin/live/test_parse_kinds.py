"""Kinds of reports are data: a file lays keys over those that come with the program, and says what is wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from twin.errors import MisuseError
from twin.live.kinds import kinds_from, read_kinds, starter_kinds
from twin.live.model import OPEN, SEVERITIES, STATUSES


def test_every_starter_kind_is_named_in_both_languages_and_goes_through_known_statuses() -> None:
    for kind in starter_kinds():
        assert any("\u4e00" <= sign <= "\u9fff" for sign in kind.zh), kind
        assert kind.en.isascii()
        assert set(kind.statuses) <= set(STATUSES)
        assert kind.severity in SEVERITIES
        assert kind.first_status in kind.statuses


def test_a_case_of_a_kind_that_stays_open_can_be_closed_and_one_that_measures_never_stands_open() -> None:
    for kind in starter_kinds():
        if kind.stays_open:
            assert kind.first_status in OPEN and "closed" in kind.statuses
        else:
            assert not OPEN & set(kind.statuses)


def test_a_file_is_laid_over_the_starter_kinds_key_by_key(tmp_path: Path) -> None:
    file = tmp_path / "kinds.toml"
    file.write_text(
        '[kinds.hotline]\nkeep_days = 90\n[kinds.tree_check]\nzh = "树木巡检"\nen = "Tree check"\n'
        '[statuses]\n" 转办 " = "dispatched"\nCLOSED-OK = "closed"\n',
        encoding="utf-8",
    )
    kinds = read_kinds(file)
    assert kinds["hotline"].keep_days == 90
    assert kinds["hotline"].zh == starter_kinds()["hotline"].zh
    assert kinds["tree_check"].zh == "树木巡检"
    assert kinds.statuses["转办"] == "dispatched"
    assert kinds.statuses["closed-ok"] == "closed"
    assert kinds.statuses["已办结"] == "closed"
    assert len(kinds) == len(starter_kinds()) + 1
    assert "tree_check" not in starter_kinds()


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"kind": {}}, "'kind' is no table"),
        ({"kinds": {"Work Order": {}}}, "lower-case ASCII"),
        ({"kinds": {"a": {"color": "#ffffff"}}}, "no key 'color'"),
        ({"kinds": {"a": {"colour": "red"}}}, "#rrggbb"),
        ({"kinds": {"a": {"statuses": ["open"]}}}, "statuses may hold"),
        ({"kinds": {"a": {"statuses": []}}}, "must not be empty"),
        ({"kinds": {"a": {"statuses": "created"}}}, "list of texts"),
        ({"kinds": {"a": {"severity": "bad"}}}, "severity is one of"),
        ({"kinds": {"a": {"needs": ["geometry"]}}}, "needs may hold"),
        ({"kinds": {"a": {"keep_days": -1}}}, "keep_days"),
        ({"kinds": {"a": {"keep_days": True}}}, "keep_days"),
        ({"kinds": {"a": {"stays_open": "yes"}}}, "stays_open"),
        ({"kinds": {"a": {"zh": 7}}}, "are texts"),
        ({"kinds": {"a": 7}}, "must be a table"),
        ({"kinds": 7}, "must be a table"),
        ({"statuses": {"done": "finished"}}, "'done' must stand for"),
        ({"severities": {"bad": "closed"}}, "'bad' must stand for"),
        ({"types": {"com.a": "ufo.created"}}, "'com.a' must stand for"),
        ({"types": {"com.a": "hotline.observed"}}, "'com.a' must stand for"),
        ({"types": {"com.a": 7}}, "'com.a' must stand for"),
        ({"types": {"twin.a": "hotline"}}, "begins with twin"),
    ],
)
def test_a_wrong_entry_is_named_and_nothing_of_it_is_guessed(document: dict[str, object], says: str) -> None:
    with pytest.raises(MisuseError, match=says) as raised:
        kinds_from(document, starter_kinds(), "kinds.toml")
    assert raised.value.file == "kinds.toml"


def test_a_file_that_is_no_toml_is_told_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("[kinds", encoding="utf-8")
    with pytest.raises(MisuseError, match=r"broken\.toml"):
        read_kinds(file)
    with pytest.raises(MisuseError, match=r"absent\.toml"):
        read_kinds(tmp_path / "absent.toml")
