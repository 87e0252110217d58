"""What an operator watches of events: what came in, who listens, what they were told and what they were not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.live.live import Live
from server.live.parcel import REASONS


class LiveMetrics(Collector):
    """Counters of the events of one process, read when they are asked for. No label comes from what a client wrote."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def collect(self) -> Iterator[Metric]:
        """Gives the families for one scrape."""
        live, hub = self._live, self._live.hub
        yield _counter("events_intake", "Events by what became of them.", "result", live.counts)
        yield _counter("events_access", "Decisions about keys.", "decision", live.gate.counts)
        yield GaugeMetricFamily("events_stream_clients", "Clients of the streams.", value=hub.clients)
        yield GaugeMetricFamily("events_stream_position", "Offset of the last report told.", value=hub.position)
        yield CounterMetricFamily("events_stream_subscriptions", "Streams begun.", value=hub.counts.subscribed)
        yield CounterMetricFamily("events_stream_delivered", "Reports told, times clients.", value=hub.counts.delivered)
        yield CounterMetricFamily("events_stream_dropped", "Reports slow clients lost.", value=hub.counts.dropped)
        yield CounterMetricFamily("events_stream_refused", "Streams refused: no room.", value=hub.counts.refused)
        resyncs = {reason: hub.counts.resyncs[reason] for reason in REASONS}
        yield _counter("events_stream_resyncs", "Clients told to take the state again.", "reason", resyncs)


def _counter(name: str, text: str, label: str, values: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=(label,))
    for value, count in list(values.items()):
        family.add_metric((value,), count)
    return family
