"""Prometheus metrics, read from the database at each scrape: one port, and counters that survive a restart."""

from collections.abc import Callable, Iterable, Iterator

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from trap_server import queries

COUNTERS = {
    "stored": "Windows stored for the first time",
    "duplicates": "Windows that were stored already, with the same content",
    "collisions": "Windows whose key was stored already, with other content",
    "quarantined": "Messages that could not be understood",
    "acknowledged": "Windows acknowledged to traps after commit",
}


class DatabaseMetrics(Collector):
    """What the collectors wrote of themselves, and the states of the traps."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Read the metrics anew."""
        now_ms = self._clock()
        with self._engine.begin() as connection:
            collectors = queries.collectors(connection)
            records = queries.trap_records(connection)
        for name, text in COUNTERS.items():
            counter = CounterMetricFamily(f"zancudo_{name}", text, labels=["collector"])
            for one in collectors:
                counter.add_metric([one.name], getattr(one, name))
            yield counter
        yield from _health(collectors, now_ms)
        traps = GaugeMetricFamily("zancudo_traps", "Traps by state", labels=["state"])
        states = [record.status(now_ms) for record in records]
        for state in sorted(set(states)):
            traps.add_metric([state], states.count(state))
        yield traps


def _health(collectors: Iterable[queries.CollectorRecord], now_ms: int) -> Iterator[Metric]:
    connected = GaugeMetricFamily("zancudo_broker_connected", "1 while subscribed and alive", labels=["collector"])
    age = GaugeMetricFamily("zancudo_heartbeat_age_seconds", "Since ingest last reported", labels=["collector"])
    batches = SummaryMetricFamily("zancudo_batch_seconds", "From a batch in hand to its PUBACKs", labels=["collector"])
    for one in collectors:
        connected.add_metric([one.name], float(one.health(now_ms) == "connected"))
        age.add_metric([one.name], (now_ms - one.heartbeat_ms) / 1000)
        batches.add_metric([one.name], one.batches, one.batch_seconds)
    yield from (connected, age, batches)


def render_metrics(engine: sa.Engine, clock: Callable[[], int]) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(DatabaseMetrics(engine, clock))
    return generate_latest(registry)
