"""What an operator watches: request durations and tile cache results, counted with plain integers on the hot path."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

#: Bucket bounds in seconds, those of the OpenTelemetry HTTP conventions.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
#: Any other method is counted under `_OTHER`, so that a client cannot invent label values.
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"})
_LABELS = ("http_request_method", "http_route", "http_response_status_code")


class Metrics(Collector):
    """Counters of one server. Every label comes from a short, fixed list; none from what a client wrote."""

    def __init__(self) -> None:
        self.active = 0
        self.cache: dict[str, int] = {"hit": 0, "miss": 0, "not_found": 0}
        self.reloads: dict[str, int] = {"switched": 0, "failed": 0}
        self.cached_bytes = 0
        self._durations: dict[tuple[str, str, int], tuple[list[int], list[float]]] = {}
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        key = (method, route, status)
        found = self._durations.get(key)
        if found is None:
            key = (method if method in METHODS else "_OTHER", route, status)
            found = self._durations.setdefault(key, ([0] * (len(BOUNDS) + 1), [0.0]))
        counts, total = found
        counts[bisect_left(BOUNDS, seconds)] += 1
        total[0] += seconds

    def collect(self) -> Iterator[Metric]:
        """Gives the families for one scrape."""
        durations = HistogramMetricFamily(
            "http_server_request_duration_seconds", "Duration of HTTP requests.", labels=_LABELS
        )
        for (method, route, status), (counts, total) in list(self._durations.items()):
            durations.add_metric((method, route, str(status)), _cumulative(counts), sum_value=total[0])
        yield durations
        yield GaugeMetricFamily("http_server_active_requests", "Requests being answered.", value=self.active)
        yield _counter("tile_cache_requests", "Tile look-ups by result.", self.cache)
        yield _counter("release_reloads", "Changes of the served release by result.", self.reloads)
        yield GaugeMetricFamily("tile_cache_bytes", "Bytes held by the tile cache.", value=self.cached_bytes)

    def expose(self, host: str, port: int) -> WSGIServer:
        """Serves the exposition on its own port from a daemon thread; `.server_port` tells which."""
        server, _ = start_http_server(port, addr=host, registry=self.registry)
        return server


def _cumulative(counts: list[int]) -> list[tuple[str, float]]:
    buckets: list[tuple[str, float]] = []
    running = 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
        running += count
        buckets.append((bound, running))
    return buckets


def _counter(name: str, text: str, values: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=("result",))
    for result, value in list(values.items()):
        family.add_metric((result,), value)
    return family
