"""What prometheus is told."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audience_pipeline.ltv.service.models import Current

_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0)
_CUSTOMERS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The figures of one service, apart from those of others in the same process."""

    def __init__(self, current: Current) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_Model(current))
        self.requests = Counter(
            "ltv_requests", "Answers of POST /score by status", ["status"], registry=self._registry
        )
        self.seconds = Histogram(
            "ltv_request_seconds",
            "From the request to its answer",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.customers = Counter(
            "ltv_customers", "Customers by outcome: scored, no_order", ["outcome"], registry=self._registry
        )
        self.batch_customers = Histogram(
            "ltv_batch_customers",
            "Customers that were scored in one call",
            buckets=_CUSTOMERS,
            registry=self._registry,
        )
        self.batch_seconds = Histogram(
            "ltv_batch_seconds", "Time of one call", buckets=_SECONDS, registry=self._registry
        )

    def text(self) -> bytes:
        """In the text format of prometheus."""
        return generate_latest(self._registry)


class _Model(Collector):
    def __init__(self, current: Current) -> None:
        self._current = current

    def collect(self) -> Iterator[Metric]:
        """Read when asked for, so that there is no second copy of what is true."""
        served, current = self._current.served, self._current
        info = GaugeMetricFamily(
            "ltv_model_info", "1 for the model that answers", labels=["version", "as_of"]
        )
        loaded = GaugeMetricFamily("ltv_model_loaded_timestamp_seconds", "When it began to answer")
        if served is not None:
            info.add_metric([served.version, served.model.as_of.isoformat()], 1)
            loaded.add_metric([], served.loaded_at.timestamp())
        yield info
        yield loaded
        yield GaugeMetricFamily(
            "ltv_model_refresh_ok",
            "0 where the last look for a newer model failed",
            float(not current.failure),
        )
        yield CounterMetricFamily(
            "ltv_model_refresh_failures", "Looks for a newer model that failed", current.failures
        )
