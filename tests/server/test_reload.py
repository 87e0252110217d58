"""A publish is seen without a restart, and nothing that is under way breaks."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import httpx
import pytest

from twin.store import release as on_disk


def test_a_new_release_is_served_after_a_reload(district: Any, app: Any, ask: Any) -> None:
    first = district.release
    old_tag = ask(app, "/tiles/buildings/tileset.json").headers["etag"]
    newer = district.publish(mark="second")
    assert anyio.run(app.reload) is True
    answer = ask(app, "/release").json()
    assert (answer["release"], answer["previous"]) == (newer.release, first)
    answer = ask(app, "/tiles/buildings/tileset.json", if_none_match=old_tag)
    assert (answer.status, answer.body) == (200, newer.tileset)
    assert anyio.run(app.reload) is False


def test_tiles_of_the_release_before_stay_reachable(district: Any, app: Any, ask: Any) -> None:
    newer = district.publish(mark="second")
    app.releases.refresh()
    for built in (district, newer):
        for key, content in built.contents.items():
            assert ask(app, f"/tiles/buildings/{key}").body == content
    third = district.publish(mark="third")
    app.releases.refresh()
    assert ask(app, f"/tiles/buildings/{third.tile}").status == 200
    assert ask(app, f"/tiles/buildings/{newer.tile}").status == 200
    assert ask(app, f"/tiles/buildings/{district.tile}").status == 404


def test_implicit_tiles_never_mix_two_releases(district: Any, serve: Any, ask: Any) -> None:
    old = district.publish(encoder="implicit", mark="one")
    old_id = old.release
    app = serve(old.out)
    before = ask(app, f"/tiles/buildings/{old_id}/0/0/0.glb")
    new = district.publish(encoder="implicit", mark="two")
    app.releases.refresh()
    assert ask(app, f"/tiles/buildings/{old_id}/0/0/0.glb").body == before.body == old.contents["0/0/0.glb"]
    assert ask(app, f"/tiles/buildings/{new.release}/0/0/0.glb").body == new.contents["0/0/0.glb"]
    assert ask(app, "/tiles/buildings/0/0/0.glb").body == new.contents["0/0/0.glb"]


def test_a_rollback_is_a_switch_too(district: Any, app: Any, ask: Any) -> None:
    first = district.release
    district.publish(mark="second")
    app.releases.refresh()
    on_disk.rollback(district.out)
    app.releases.refresh()
    assert ask(app, "/release").json()["release"] == first


def test_a_release_that_cannot_be_opened_leaves_the_old_one_served(district: Any, app: Any, ask: Any) -> None:
    first = district.release
    newer = district.publish(mark="second")
    (district.out / "releases" / newer.release / "entities.arrow").write_bytes(b"damaged")
    assert anyio.run(app.reload) is False
    assert ask(app, "/release").json()["release"] == first
    assert app.metrics.reloads["failed"] == 1
    assert ask(app, "/readyz").status == 200
    district.publish(mark="third")
    assert anyio.run(app.reload) is True


def test_a_request_that_has_begun_ends_on_its_release(district: Any, app: Any) -> None:
    with app.releases.reading() as release:
        store = release.layers["buildings"].store
        for mark in ("second", "third", "fourth"):
            district.publish(mark=mark)
            app.releases.refresh()
        assert release not in app.releases.pair.releases
        assert store.read(district.tile, "identity") == district.contents[district.tile]
    with pytest.raises(Exception, match=r"closed|damaged|open"):
        store.read(district.tile, "identity")


def test_requests_during_publishes_are_never_torn(district: Any, app: Any) -> None:
    """Every answer is one release's whole answer while others are published."""
    tilesets = {district.tileset}

    async def read(client: httpx.AsyncClient, stop: asyncio.Event) -> int:
        count = 0
        while not stop.is_set():
            root = await client.get("/tiles/buildings/tileset.json")
            assert root.content in tilesets
            nested = await client.get(f"/tiles/buildings/{root.json()['root']['content']['uri']}")
            assert nested.status_code == 200
            found = await client.get("/entities", params={"q": "Tower"})
            assert found.status_code == 200 and len(found.json()["items"]) == 1
            count += 1
            await asyncio.sleep(0)
        return count

    async def run() -> list[int]:
        stop = asyncio.Event()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://server") as client:
            readers = [asyncio.create_task(read(client, stop)) for _ in range(4)]
            for mark in ("a", "bb", "ccc"):
                newer = await asyncio.to_thread(district.publish, mark=mark)
                tilesets.add(newer.tileset)
                assert await app.reload()
                for _ in range(20):
                    await asyncio.sleep(0)
            stop.set()
            return await asyncio.gather(*readers)

    assert min(anyio.run(run)) > 0


def test_the_background_watch_switches_by_itself(district: Any, serve: Any) -> None:
    app = serve(district.out, reload_seconds=0.01)

    async def run() -> None:
        async with app.api.router.lifespan_context(app.api):
            newer = await asyncio.to_thread(district.publish, mark="second")
            with anyio.fail_after(10):
                while app.releases.pair.current.id != newer.release:
                    await asyncio.sleep(0.01)

    anyio.run(run)
