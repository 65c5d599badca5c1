"""Figures for Prometheus: of turns, stages, jobs, views and requests. No user stands in a label."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, cast

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics import exposition
from prometheus_client.registry import Collector

from onionskin.chains.observers import ModelCall, StageEvent, outcome_of
from onionskin.memory.types.snapshot import Section

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_HITS = (0, 1, 2, 5, 10, 20, 50)


class Metrics:
    """One process's figures, in a registry of their own."""

    content_type = exposition.CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._turns = Counter(
            "onionskin_turns",
            "Turns, by profile and how they ended.",
            ["profile", "outcome"],
            registry=registry,
        )
        self._tokens = Counter(
            "onionskin_model_tokens",
            "Tokens, as the model counts.",
            ["purpose", "kind"],
            registry=registry,
        )
        self._calls = Counter(
            "onionskin_model_calls",
            "Calls of the chat model, by purpose and how they ended.",
            ["purpose", "outcome"],
            registry=registry,
        )
        self._stages = Histogram(
            "onionskin_stage_seconds",
            "Stages of a turn.",
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
            "Runs of jobs after answers.",
            ["job", "outcome"],
            registry=registry,
        )
        self._extractions = Counter(
            "onionskin_extractions",
            "Batches drawn from, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self._embeddings = Counter(
            "onionskin_embedder_calls",
            "Calls of a remote embedder, by how they ended.",
            ["outcome"],
            registry=registry,
        )
        self._requests = Histogram(
            "onionskin_http_request_seconds",
            "Requests, by route.",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=registry,
        )

    @contextmanager
    def stage(self, stage: StageEvent) -> Generator[None]:
        """How long a stage of a turn takes, unless it fails."""
        began = time.perf_counter()
        yield
        self._stages.labels(stage.name).observe(time.perf_counter() - began)

    @contextmanager
    def model_call(self, call: ModelCall) -> Generator[None]:
        """How a call of the model ends, and what it costs; that for an answer is a stage."""
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
        """A turn ended."""
        self._turns.labels(profile, outcome).inc()
        if outcome in ("stored", "interrupted"):
            self._recalled.observe(sum(len(one.hits) + len(one.records) for one in sections))

    def extraction(self, outcome: str) -> None:
        """A batch was drawn from: `drawn`, `empty`, `malformed` or `full`."""
        self._extractions.labels(outcome).inc()

    def embedding(self, outcome: str) -> None:
        """A call of a remote embedder ended: `embedded`, `cancelled`, or an error's code."""
        self._embeddings.labels(outcome).inc()

    def job(self, name: str, outcome: str) -> None:
        """A job ran."""
        self._jobs.labels(name, outcome).inc()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def watch(self, name: str, about: str, value: Callable[[], float]) -> None:
        """A figure that is asked for when the figures are read."""
        self._registry.register(_Asked(name, about, value))

    def exposition(self) -> bytes:
        """All figures, in OpenMetrics' text format."""
        return cast("bytes", cast("Any", exposition).generate_latest(self._registry))


class _Asked(Collector):
    def __init__(self, name: str, about: str, value: Callable[[], float]) -> None:
        self._name, self._about, self._value = name, about, value

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The figure as it is now."""
        yield GaugeMetricFamily(self._name, self._about, value=self._value())
