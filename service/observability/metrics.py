"""Prometheus metrics of turns, stages, tasks, indexes and requests; no label holds a user."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, cast

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics import exposition
from prometheus_client.registry import Collector

from onionskin.chains.observers import ModelCall, StageEvent, outcome_of
from onionskin.memory.retrieval import IndexCache
from onionskin.memory.types.snapshot import Section

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_HITS = (0, 1, 2, 5, 10, 20, 50)


class Metrics:
    """The metrics of one process, in a registry of their own; a `TurnObserver`."""

    content_type = exposition.CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._turns = Counter(
            "onionskin_turns",
            "Turns by profile and outcome.",
            ["profile", "outcome"],
            registry=registry,
        )
        self._tokens = Counter(
            "onionskin_model_tokens",
            "Tokens as the model counts them.",
            ["purpose", "kind"],
            registry=registry,
        )
        self._calls = Counter(
            "onionskin_model_calls",
            "Calls of the chat model by purpose and outcome.",
            ["purpose", "outcome"],
            registry=registry,
        )
        self._stages = Histogram(
            "onionskin_stage_seconds",
            "Duration of a turn's stages.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._recalled = Histogram(
            "onionskin_recalled",
            "Messages and memories recalled for a turn.",
            buckets=_HITS,
            registry=registry,
        )
        self._jobs = Counter(
            "onionskin_job_runs",
            "Runs of background tasks by kind and outcome.",
            ["job", "outcome"],
            registry=registry,
        )
        self._extractions = Counter(
            "onionskin_extractions",
            "Extraction batches by outcome.",
            ["outcome"],
            registry=registry,
        )
        self._embeddings = Counter(
            "onionskin_embedder_calls",
            "Calls of a remote embedder by outcome.",
            ["outcome"],
            registry=registry,
        )
        self._requests = Histogram(
            "onionskin_http_request_seconds",
            "Requests by route.",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=registry,
        )

    @contextmanager
    def stage(self, stage: StageEvent) -> Generator[None]:
        """Measure a stage of a turn, unless it fails."""
        began = time.perf_counter()
        yield
        self._stages.labels(stage.name).observe(time.perf_counter() - began)

    @contextmanager
    def model_call(self, call: ModelCall) -> Generator[None]:
        """Count a model call and its tokens; the call for an answer is the stage `think`."""
        began, outcome = time.perf_counter(), "answered"
        try:
            yield
            if call.purpose == "answer":
                self._stages.labels("think").observe(time.perf_counter() - began)
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            self._calls.labels(call.purpose, outcome).inc()
            if usage := call.message and call.message.usage_metadata:
                self._tokens.labels(call.purpose, "input").inc(usage["input_tokens"])
                self._tokens.labels(call.purpose, "output").inc(usage["output_tokens"])

    def turn(self, profile: str, outcome: str, sections: Sequence[Section]) -> None:
        """Count a turn, and what it recalled."""
        self._turns.labels(profile, outcome).inc()
        if outcome in ("stored", "interrupted"):
            self._recalled.observe(
                sum(len(section.hits) + len(section.records) for section in sections)
            )

    def extraction(self, outcome: str) -> None:
        """Count a batch of an extraction: `drawn`, `empty`, `malformed` or `full`."""
        self._extractions.labels(outcome).inc()

    def embedding(self, outcome: str) -> None:
        """Count a call of a remote embedder: `embedded`, `cancelled`, or an error's code."""
        self._embeddings.labels(outcome).inc()

    def job(self, kind: str, outcome: str) -> None:
        """Count the run of a background task."""
        self._jobs.labels(kind, outcome).inc()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Measure a request."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def watch(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value is read at each scrape."""
        self._registry.register(_Gauge(name, description, value))

    def watch_indexes(self, indexes: IndexCache) -> None:
        """Add the gauges of the index cache."""
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "messages": ("Messages in indexes.", lambda: indexes.cached_entries),
            "bytes": ("Memory of indexes.", lambda: indexes.cached_bytes),
            "hits": ("Turns that found their user's index cached.", lambda: indexes.hits),
            "misses": ("Turns that had to load their user's index.", lambda: indexes.misses),
        }
        for name, (description, value) in gauges.items():
            self.watch(f"onionskin_view_{name}", description, value)

    def exposition(self) -> bytes:
        """All metrics in the text format of OpenMetrics."""
        return cast("bytes", cast("Any", exposition).generate_latest(self._registry))


class _Gauge(Collector):
    def __init__(self, name: str, description: str, value: Callable[[], float]) -> None:
        self._name, self._description, self._value = name, description, value

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The current value."""
        yield GaugeMetricFamily(self._name, self._description, value=self._value())
