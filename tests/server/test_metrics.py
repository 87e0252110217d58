"""What operators see is true and its labels cannot be invented by clients."""

from __future__ import annotations

import urllib.request
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from server.metrics import BOUNDS, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_duration_falls_into_its_bucket_and_buckets_are_cumulative() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.005, 0.0051, 0.3, 100.0):
        metrics.observe("GET", "/x", 200, seconds)
    found = samples(metrics)
    labels = {"http_request_method": "GET", "http_route": "/x", "http_response_status_code": "200"}

    def bucket(bound: str) -> float:
        return found["http_server_request_duration_seconds_bucket", tuple(sorted({**labels, "le": bound}.items()))]

    assert [bucket(b) for b in ("0.005", "0.01", "0.5", "10.0", "+Inf")] == [2, 3, 4, 4, 5]
    assert [bucket(str(b)) for b in BOUNDS] == sorted(bucket(str(b)) for b in BOUNDS)
    assert found["http_server_request_duration_seconds_sum", tuple(sorted(labels.items()))] == 100.3111


def test_every_request_is_counted_once_under_its_route(app: Any, get: Any, district: Any) -> None:
    get(f"/tiles/buildings/{district.tile}")
    get(f"/tiles/buildings/{district.tile}")
    get("/tiles/buildings/c/none.glb")
    get("/entities/nobody")
    get("/entities?q=a", "HEAD")
    get("/viewer/")
    counts = {
        (dict(labels)["http_request_method"], dict(labels)["http_route"], dict(labels)["http_response_status_code"]): n
        for (name, labels), n in samples(app.metrics).items()
        if name == "http_server_request_duration_seconds_count"
    }
    assert counts == {
        ("GET", "/tiles/{layer}/{key}", "200"): 2,
        ("GET", "/tiles/{layer}/{key}", "404"): 1,
        ("GET", "/entities/{id:path}", "404"): 1,
        ("HEAD", "/entities", "200"): 1,
        ("GET", "/viewer/{file}", "200"): 1,
    }
    assert samples(app.metrics)["tile_cache_requests_total", (("result", "hit"),)] == 1
    assert samples(app.metrics)["http_server_active_requests", ()] == 0


def test_strangers_cannot_invent_labels(app: Any, get: Any) -> None:
    for n in range(30):
        get(f"/stranger-{n}", f"METHOD{n}")
        get(f"/tiles/layer-{n}/key-{n}", f"METHOD{n}")
        get(f"/viewer/{n}")
    labels = {labels for name, labels in samples(app.metrics) if name.endswith("seconds_count")}
    assert len(labels) == 3


def test_two_servers_count_apart_and_are_exposed_on_their_own_port(app: Any, get: Any) -> None:
    other = Metrics()
    get("/livez")
    server = app.metrics.expose("127.0.0.1", 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as answer:
            text = answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
    assert 'http_route="/livez"' in text
    assert "livez" not in generate_latest(other.registry).decode()
    assert get("/metrics").status == 404
