"""The hub: every client gets each report it wants exactly once and in order, or is told that it did not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from server.live.channel import HubLimits
from server.live.hub import Hub, read_position, write_position
from server.live.parcel import Beat, Delivery, Reports, Resync
from server.live.select import Region, Selection, matcher
from server.live.subscription import Subscription
from tests.server.live_reports import NOW, add, report, series
from twin.live.model import SEVERITIES, STATUSES, EventStore, Filter, Link, Stored
from twin.live.open import open_events

Scene = Callable[[Hub, EventStore], Awaitable[None]]
QUIET = HubLimits(linger_s=0.0, heartbeat_s=600.0, poll_s=600.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    opened = open_events(tmp_path / "events.sqlite")
    yield opened
    opened.close()


def play(store: EventStore, scene: Scene, limits: HubLimits = QUIET) -> None:
    """Runs a scene in a hub that is closed whatever happens; nothing takes longer than ten seconds."""

    async def run() -> None:
        hub = Hub(store, lambda stored: b'{"offset":%d}' % stored.offset, limits)
        await hub.start()
        try:
            await asyncio.wait_for(scene(hub, store), 10)
        finally:
            hub.close()

    asyncio.run(run())


def offsets(told: list[Delivery]) -> list[int]:
    return [item.offset for one in told if isinstance(one, Reports) for item in one.items]


async def read(one: Subscription, count: int) -> list[Delivery]:
    """Deliveries until `count` reports or one resync have come."""
    told: list[Delivery] = []
    async for delivery in one:
        told.append(delivery)
        if isinstance(delivery, Resync) or len(offsets(told)) >= count:
            break
    return told


async def settled(hub: Hub, one: Subscription) -> None:
    """Lets a client catch up without taking anything."""
    waiting = asyncio.ensure_future(one.__anext__())
    while not hub._channels:
        await asyncio.sleep(0)
    waiting.cancel()


def test_a_client_without_a_position_gets_what_comes_after_it(store: EventStore) -> None:
    async def scene(hub: Hub, store: EventStore) -> None:
        with hub.subscribe() as one:
            reading = asyncio.ensure_future(read(one, 3))
            await asyncio.sleep(0)
            hub.publish(series(store, 10, 3))
            assert offsets(await reading) == [6, 7, 8]

    series(store, 0, 5)
    play(store, scene)


def test_a_client_that_comes_back_gets_what_it_missed_and_then_what_is_new_each_once(store: EventStore) -> None:
    async def scene(hub: Hub, store: EventStore) -> None:
        hub.publish(series(store, 100, 50))
        with hub.subscribe(after=write_position(store.epoch, 7)) as one:
            told = await read(one, 20)
            hub.publish(series(store, 200, 50))
            told += await read(one, 400 - 7 + 100 - len(offsets(told)))
        assert offsets(told) == list(range(8, 501))

    series(store, 1000, 400)
    play(store, scene, HubLimits(linger_s=0.0, page=64, recent=16, heartbeat_s=600.0))


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_cut_and_resumed_at_any_moments_each_offset_comes_exactly_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever is published when, by this process or another, and wherever the client is cut."""
    step = st.tuples(st.integers(1, 9), st.booleans(), st.integers(0, 6), st.booleans())
    steps = data.draw(st.lists(step, min_size=1, max_size=10))

    async def scene(hub: Hub, store: EventStore) -> None:
        seen: list[int] = []
        first = 0
        for count, published, wanted, cut_inside in [*steps, (1, True, 1000, False)]:
            fresh = series(store, first, count)
            first += count
            if published:
                hub.publish(fresh)
            else:
                hub._woken()
            wanted = min(wanted, first - len(seen))  # noqa: PLW2901
            if wanted:
                with hub.subscribe(after=write_position(store.epoch, seen[-1] if seen else 0)) as one:
                    told = offsets(await read(one, wanted))
                    seen += told[:wanted] if cut_inside else told
        assert seen == list(range(1, first + 1))

    store = open_events(tmp_path_factory.mktemp("hub") / "events.sqlite")
    try:
        play(store, scene, HubLimits(linger_s=0.0, page=3, recent=4, heartbeat_s=600.0))
    finally:
        store.close()


def test_what_another_process_wrote_comes_without_being_published(store: EventStore, tmp_path: Path) -> None:
    async def scene(hub: Hub, store: EventStore) -> None:
        other = open_events(tmp_path / "events.sqlite")
        try:
            with hub.subscribe() as one:
                reading = asyncio.ensure_future(read(one, 4))
                await asyncio.sleep(0)
                await asyncio.to_thread(series, other, 0, 4)
                assert offsets(await reading) == [1, 2, 3, 4]
        finally:
            other.close()

    play(store, scene)


def test_between_two_writers_the_order_is_that_of_the_log(store: EventStore, tmp_path: Path) -> None:
    async def scene(hub: Hub, store: EventStore) -> None:
        other = open_events(tmp_path / "events.sqlite")
        try:
            with hub.subscribe() as one:
                reading = asyncio.ensure_future(read(one, 30))
                await asyncio.sleep(0)
                for step in range(0, 30, 3):
                    series(other, step, 2)
                    hub.publish(series(store, step + 2, 1))  # the hub has not seen the two before it
                assert offsets(await reading) == list(range(1, 31))
        finally:
            other.close()

    play(store, scene)


def test_a_position_the_store_knows_and_the_hub_not_yet_is_good_and_repeats_nothing(store: EventStore) -> None:
    async def scene(hub: Hub, store: EventStore) -> None:
        late = series(store, 0, 5)
        with hub.subscribe(after=write_position(store.epoch, 3)) as one:  # as told by /events/state just now
            reading = asyncio.ensure_future(read(one, 2))
            await asyncio.sleep(0.05)
            hub.publish(late)
            told = await reading
        assert offsets(told) == [4, 5]
        assert not any(isinstance(delivery, Resync) for delivery in told)

    play(store, scene)


@pytest.mark.parametrize(
    ("position", "reason"),
    [
        ("other-3", "unknown_epoch"),
        ("{epoch}-999", "unknown_position"),
        ("nonsense", "unknown_position"),
        ("{epoch}-²", "unknown_position"),
        ("{epoch}-1", "far_behind"),
    ],
)
def test_a_position_that_means_nothing_here_gives_a_resync_and_then_goes_on(
    store: EventStore, position: str, reason: str
) -> None:
    async def scene(hub: Hub, store: EventStore) -> None:
        with hub.subscribe(after=position.format(epoch=store.epoch)) as one:
            (told,) = await read(one, 1)
            assert told == Resync(reason, 40)
            hub.publish(series(store, 100, 2))
            assert offsets(await read(one, 2)) == [41, 42]
        assert hub.counts.resyncs[reason] == 1

    series(store, 0, 40)
    play(store, scene, HubLimits(linger_s=0.0, replay=20, heartbeat_s=600.0))


def test_a_position_before_what_retention_gave_up_gives_a_resync(store: EventStore) -> None:
    async def scene(hub: Hub, store: EventStore) -> None:
        with hub.subscribe(after=write_position(store.epoch, 2)) as one:
            (told,) = await read(one, 1)
        assert told == Resync("expired", 10)

    rows = series(store, 0, 10, status="closed")
    assert store.prune("work_order", rows[-1].recorded_ms + 1) == 10
    play(store, scene)


def test_a_slow_client_is_told_and_bounded_and_nobody_waits_for_it(store: EventStore) -> None:
    async def scene(hub: Hub, store: EventStore) -> None:
        with hub.subscribe() as slow, hub.subscribe() as quick:
            await settled(hub, slow)
            reading = asyncio.ensure_future(read(quick, 60))
            for step in range(0, 60, 10):
                hub.publish(series(store, step, 10))
                await asyncio.sleep(0)
            assert offsets(await reading) == list(range(1, 61))
            assert len(slow._pending) <= 4
            told = [await slow.__anext__(), *slow.ready()]
        kinds = [type(one) for one in told]
        assert Resync in kinds
        last = max(at for at, one in enumerate(told) if isinstance(one, Resync))
        assert told[last].position + 1 == (offsets(told[last:]) or [told[last].position + 1])[0]
        assert told[-1].position == 60
        assert hub.counts.dropped + len(offsets(told)) == 60

    play(store, scene, HubLimits(linger_s=0.0, queue_reports=25, heartbeat_s=600.0))


def test_a_filter_holds_for_what_was_missed_and_for_what_is_new(store: EventStore) -> None:
    async def scene(hub: Hub, store: EventStore) -> None:
        with hub.subscribe(Filter(kinds=frozenset({"alarm"})), after=0) as one:
            told = await read(one, 2)
            hub.publish(series(store, 20, 2) + series(store, 30, 1, kind="alarm"))
            told += await read(one, 1)
        assert offsets(told) == [4, 5, 8]

    series(store, 0, 3)
    series(store, 10, 2, kind="alarm")
    play(store, scene)


def test_a_client_whose_filter_lets_nothing_through_still_learns_the_position(store: EventStore) -> None:
    async def scene(hub: Hub, store: EventStore) -> None:
        with hub.subscribe(Filter(kinds=frozenset({"alarm"}))) as one:
            reading = asyncio.ensure_future(one.__anext__())
            await asyncio.sleep(0)
            hub.publish(series(store, 0, 7))
            assert await reading == Beat(7)

    play(store, scene, HubLimits(linger_s=0.0, heartbeat_s=0.05))


def test_reports_are_written_once_for_everybody(store: EventStore) -> None:
    written: list[int] = []

    async def run() -> None:
        hub = Hub(store, lambda stored: written.append(stored.offset) or b"{}", QUIET)
        await hub.start()
        subscriptions = [hub.subscribe(Filter(linked=True) if at % 2 else None) for at in range(40)]
        readings = [asyncio.ensure_future(read(one, 3)) for one in subscriptions]
        await asyncio.sleep(0)
        hub.publish(series(store, 0, 3))
        told = await asyncio.gather(*readings)
        assert {tuple(offsets(one)) for one in told} == {(1, 2, 3)}
        hub.close()
        assert hub.clients == 0

    asyncio.run(run())
    assert sorted(written) == [1, 2, 3]


def test_closing_the_hub_ends_every_stream_after_what_was_waiting(store: EventStore) -> None:
    async def scene(hub: Hub, store: EventStore) -> None:
        one = hub.subscribe(after=0)
        await settled(hub, one)
        hub.publish(series(store, 0, 2))
        hub.close()
        assert offsets([told async for told in one]) == [1, 2]
        assert [told async for told in hub.subscribe()] == []

    play(store, scene)


def test_publishing_from_another_thread_is_safe(store: EventStore) -> None:
    async def scene(hub: Hub, store: EventStore) -> None:
        with hub.subscribe() as one:
            reading = asyncio.ensure_future(read(one, 5))
            await asyncio.sleep(0)
            await asyncio.to_thread(lambda: hub.publish(series(store, 0, 5)))
            assert offsets(await reading) == [1, 2, 3, 4, 5]

    play(store, scene)


@given(st.text(alphabet="abc-0123456789", max_size=30))
def test_a_position_is_read_as_it_was_written_or_not_at_all(text: str) -> None:
    epoch, offset = read_position(text)
    assert offset is None or write_position(epoch, offset).lstrip("-") == _plain(text)
    assert read_position(write_position("ab-c", 12)) == ("ab-c", 12)


def _plain(text: str) -> str:
    epoch, _, digits = text.rpartition("-")
    return f"{epoch}-{int(digits)}".lstrip("-")


SETS = st.none() | st.frozensets(st.sampled_from(["work_order", "alarm", "hotline"]), max_size=2)
FILTERS = st.builds(
    Filter,
    kinds=SETS,
    statuses=st.none() | st.frozensets(st.sampled_from(STATUSES), max_size=3),
    severities=st.none() | st.frozensets(st.sampled_from(SEVERITIES), max_size=3),
    sources=st.none() | st.frozensets(st.sampled_from(["urn:test", "urn:b"]), max_size=2),
    geids=st.none() | st.frozensets(st.sampled_from(["g1", "g2"]), max_size=2),
    box=st.none()
    | st.sampled_from([(121.0, 31.0, 121.5, 31.5), (121.4, 31.2, 121.4, 31.2), (121.45, 0.0, 122.0, 90.0)]),
    since_ms=st.none() | st.integers(NOW, NOW + 12_000),
    until_ms=st.none() | st.integers(NOW, NOW + 12_000),
    linked=st.none() | st.booleans(),
    text=st.none() | st.sampled_from(["路灯", "延安 c1", "none of them", "C3"]),
    case=st.none() | st.just(("urn:test", "c3")),
)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EventStore, list[Stored]]]:
    store = open_events(tmp_path_factory.mktemp("mixed") / "events.sqlite")
    links = [Link("g1", "geid", 1.0, None, 121.4, 31.2), Link("g2", "near", 0.5, 3.0, 121.46, 31.3), Link()]
    rows: list[tuple[Any, Link]] = []
    for number in range(48):
        changes: dict[str, Any] = {
            "kind": ("work_order", "alarm", "hotline")[number % 3],
            "status": STATUSES[number % 7],
            "severity": SEVERITIES[number % 5],
            "source": ("urn:test", "urn:b")[number % 2],
            "case": f"c{number % 4}",
            "occurred_ms": NOW + (number * 7 % 12) * 1000,
        }
        rows.append((report(number, **changes), links[number // 3 % 3]))
    yield store, add(store, rows)
    store.close()


@settings(max_examples=200, deadline=None)
@given(wanted=FILTERS)
def test_the_stream_and_the_store_understand_a_filter_alike(
    mixed: tuple[EventStore, list[Stored]], wanted: Filter
) -> None:
    store, rows = mixed
    match = matcher(Selection(wanted))
    assert {one.offset for one in rows if match(one)} == {one.offset for one in store.select(wanted, 1000)}


def test_a_region_holds_what_is_drawn_inside_or_linked_to_it() -> None:
    outline = shapely.box(121.0, 31.0, 121.5, 31.5)
    shapely.prepare(outline)
    match = matcher(Selection(regions=(Region(frozenset({"area"}), outline),)))
    inside = Stored(1, NOW, report(1), Link(None, "none", 0.0, None, 121.2, 31.2))
    outside = Stored(2, NOW, report(2), Link("g1", "geid", 1.0, None, 122.2, 31.2))
    linked = Stored(3, NOW, report(3), Link("area", "geid", 1.0))
    nowhere = Stored(4, NOW, report(4), Link())
    assert [match(one) for one in (inside, outside, linked, nowhere)] == [True, False, True, False]
