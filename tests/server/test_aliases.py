"""Any alias leads to its entity; shared ones to a choice; retired ones say so; a broken registry breaks nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pytest

from server.settings import registry_location
from tests.server.conftest import BUILDINGS, District
from twin.registry.sqlite import Anchors, Registry

GEIDS = [building.geid for building in BUILDINGS]


@pytest.fixture
def aliases() -> dict[str, list[str]]:
    """Aliases of the sample's buildings by key."""
    return {
        "1": ["REALTY:77", "POST:200050", "beidou:N51H263920000000"],
        "2": ["REALTY:78", "POST:200050", "ref.bag:a/b"],
        "way/3": ["REALTY:1", "beidou:N51H263920000000"],
    }


@pytest.fixture
def coded(tmp_path: Path, aliases: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> District:
    """The sample with aliases, below a project file."""
    from tests.server import conftest

    plain = conftest.index_table

    def with_aliases(tile: str) -> pa.Table:
        table = plain(tile)
        lists = [aliases[key] for key in table["source_key"].to_pylist()]
        return table.append_column("aliases", pa.array(lists, pa.list_(pa.string())))

    monkeypatch.setattr(conftest, "index_table", with_aliases)
    (tmp_path / "twin.toml").write_text('[project]\nname = "x"\n')
    return conftest.publish(tmp_path / "out")


def remember(root: Path, builds: list[tuple[str, list[str]]], aliases: list[tuple[str, str, str]] = ()) -> list[str]:  # type: ignore[assignment]
    """A registry that has seen builds, each a release id and its source keys; gives the geid of every key."""
    with Registry.open(root / "registry.sqlite", "310105") as registry:
        names: dict[str, str] = {}
        for release, keys in builds:
            places = Anchors(*(np.zeros(len(keys)) for _ in range(7)))
            resolved = registry.resolve("buildings", "survey", pa.array(keys, pa.string()), places)
            registry.record(resolved, pa.array(["Building"] * len(keys)))
            names.update(zip(keys, resolved.geids.to_pylist(), strict=True))
            for scheme, value, key in aliases:
                if key in keys:
                    registry.add_aliases(scheme, [value], [names[key]])
            registry.commit(release)
    return list(names.values())


def test_an_alias_leads_to_its_entity_with_and_without_scheme(coded: District, serve: Any, ask: Any) -> None:
    app = serve(coded.out.parent)
    for text in ("REALTY:78", "realty:78", "78", "ref.bag:a/b", "ref:bag:a/b", "a/b", "ref.bag%3Aa%2Fb"):
        answer = ask(app, f"/entities/{text}")
        assert (answer.status, answer.json()["geid"]) == (200, GEIDS[1])
        assert f'</entities/{GEIDS[1]}>; rel="canonical"' in answer.headers["link"]
    assert ask(app, "/entities/78?f=geojson").json()["id"] == GEIDS[1]


def test_a_source_key_comes_before_an_alias(coded: District, serve: Any, ask: Any) -> None:
    app = serve(coded.out.parent)
    assert ask(app, "/entities/survey:1").json()["geid"] == GEIDS[0]
    assert ask(app, "/entities/1").json()["geid"] == GEIDS[2]


def test_an_alias_of_several_is_a_choice_and_nothing_is_preferred(coded: District, serve: Any, ask: Any) -> None:
    app = serve(coded.out.parent)
    for text, expected in (("POST:200050", GEIDS[:2]), ("N51H263920000000", [GEIDS[0], GEIDS[2]])):
        answer = ask(app, f"/entities/{text}")
        assert answer.status == 300
        assert "location" not in answer.headers
        content = answer.json()
        assert sorted(item["geid"] for item in content["items"]) == sorted(expected)
        assert (content["numberReturned"], content["truncated"], content["release"]) == (2, False, coded.release)
        assert all(ask(app, item["href"]).status == 200 for item in content["items"])
        assert ask(app, f"/entities/{text}", "HEAD").body == b""


def test_a_document_shows_its_aliases_each_of_which_leads_back(coded: District, serve: Any, ask: Any) -> None:
    app = serve(coded.out.parent)
    for building, geid in zip(BUILDINGS, GEIDS, strict=True):
        shown = ask(app, f"/entities/{geid}").json()["aliases"]
        assert shown
        for text in shown:
            answer = ask(app, f"/entities/{quote(text)}")
            found = [answer.json()] if answer.status == 200 else answer.json()["items"]
            assert geid in [one["geid"] for one in found], building.name


def test_search_finds_the_beginning_of_an_alias(coded: District, serve: Any, ask: Any) -> None:
    app = serve(coded.out.parent)

    def found(text: str) -> set[str]:
        return {item["geid"] for item in ask(app, f"/entities?q={quote(text)}").json()["items"]}

    assert found("realty:7") == set(GEIDS[:2])
    assert found("20005") == set(GEIDS[:2])
    assert found("N51H2639") == {GEIDS[0], GEIDS[2]}
    assert found("n51h") == set()


def test_a_retired_identifier_is_gone_and_says_since_when(coded: District, serve: Any, ask: Any) -> None:
    codes = [("REALTY", "99", "gone"), ("REALTY", "100", "1")]
    builds = [("r-old", ["1", "2", "gone"]), (coded.release, ["1", "2", "way/3"])]
    *_, old, _ = remember(coded.out.parent, builds, codes)
    app = serve(coded.out.parent)
    for text in (old, old.upper().replace("-", ""), "survey:gone", "REALTY:99", "99"):
        answer = ask(app, f"/entities/{text}")
        assert (answer.status, answer.headers["content-type"]) == (410, "application/problem+json")
        problem = answer.json()
        assert problem["code"] == "entity_retired" and problem["status"] == 410
        (row,) = problem["retired"]
        assert (row["geid"], row["last_release"], row["source_key"]) == (old, "r-old", "gone")
        assert row["aliases"] == ["REALTY:99"]
        assert old in problem["detail"] and "r-old" in problem["detail"]
    former = ask(app, "/entities/REALTY:100")  # no source states it any more
    assert (former.status, former.json()["geid"]) == (200, GEIDS[0])


def test_what_came_after_the_served_release_was_never_here(coded: District, serve: Any, ask: Any) -> None:
    *_, new = remember(coded.out.parent, [(coded.release, ["1"]), ("r-next", ["1", "new"])])
    app = serve(coded.out.parent)
    assert ask(app, f"/entities/{new}").status == 404


def test_a_source_taken_out_of_the_project_leaves_retired_entities(coded: District, serve: Any, ask: Any) -> None:
    *_, lost = remember(coded.out.parent, [("r-old", ["1", "lost"])])
    with Registry.open(coded.out.parent / "registry.sqlite", "310105") as registry:
        registry.commit(coded.release)
    assert ask(serve(coded.out.parent), f"/entities/{lost}").json()["retired"][0]["last_release"] == "r-old"


def lock(path: Path) -> sqlite3.Connection:
    held = sqlite3.connect(path, isolation_level=None)
    held.execute("PRAGMA journal_mode = DELETE")
    held.execute("BEGIN EXCLUSIVE")
    return held


def spoil(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)


def foreign(path: Path) -> None:
    path.unlink()
    Registry.open(path, "999999").close()


@pytest.mark.parametrize("harm", [lock, spoil, foreign, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_registry_that_cannot_be_read_is_a_404(
    coded: District, serve: Any, ask: Any, harm: Callable[[Path], object]
) -> None:
    *_, old, _ = remember(coded.out.parent, [("r-old", ["1", "gone"]), (coded.release, ["1", "way/3"])])
    app = serve(coded.out.parent)
    assert ask(app, f"/entities/{old}").status == 410
    kept = harm(coded.out.parent / "registry.sqlite")
    assert ask(app, f"/entities/{old}").status == 404
    assert ask(app, f"/entities/{GEIDS[0]}").status == 200
    if isinstance(kept, sqlite3.Connection):
        kept.close()


def test_a_release_directory_has_no_registry(coded: District, serve: Any, ask: Any) -> None:
    *_, old, _ = remember(coded.out.parent, [("r-old", ["1", "gone"]), (coded.release, ["1", "way/3"])])
    assert registry_location(coded.out, {}) is None
    assert ask(serve(coded.out), f"/entities/{old}").status == 404
