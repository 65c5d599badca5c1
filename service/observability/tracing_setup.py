"""Whether traces are made, and where they go: as OpenTelemetry's own variables say.

Traced where there are traces, else plain, and then at no cost at all.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from onionskin.chains.observers import CompositeObserver, TurnObserver
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.records.consolidation import RecordConsolidator
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval.embedders.base import Embedder
from onionskin.memory.store import RedisStore
from onionskin.memory.types.tasks import Task
from onionskin.service.settings import Settings

if TYPE_CHECKING:
    from onionskin.service.observability.tracing import Tracing

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_log = logging.getLogger("onionskin.tracing")


@asynccontextmanager
async def open_tracing(
    settings: Settings, environ: Mapping[str, str] = os.environ
) -> AsyncGenerator["Tracing | None"]:
    """What makes traces, or None; what is left of them is exported in the end.

    Raises:
        ConfigurationError: `ONIONSKIN_OTEL` is `on`, and they cannot be made.
    """
    if settings.otel == "off" or (settings.otel == "auto" and not _is_wanted(environ)):
        yield None
        return
    try:
        tracing = _exporting(environ, content=settings.otel_content)
    except ConfigurationError as error:
        if settings.otel == "on":
            raise
        _log.warning("no traces", extra={"reason": str(error)})
        yield None
        return
    try:
        yield tracing
    finally:
        await asyncio.to_thread(tracing.shutdown)


def _is_wanted(environ: Mapping[str, str]) -> bool:
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    named = any(environ.get(name, "").strip() for name in _ENDPOINTS)
    return named and not disabled and exporter == "otlp"


def _exporting(environ: Mapping[str, str], *, content: bool) -> "Tracing":
    protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        raise ConfigurationError(
            f"Traces go out as http/protobuf, not as {protocol!r}. Set OTEL_EXPORTER_OTLP_PROTOCOL "
            "to http/protobuf, and the endpoint to the collector's HTTP port (4318)."
        )
    try:  # an extra, and half a second to import
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        from onionskin.service.observability.tracing import Tracing  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError("Traces need an extra: pip install 'onionskin[otel]'.") from error
    resource = Resource.create()
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "onionskin"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider, content=content)


if TYPE_CHECKING:
    from onionskin.service.observability.tracing import Tracing


class Collaborators:
    """Makes what the service is made of.

    Args:
        tracing: makes spans, if any are made.
        observer: told of turns and model calls besides.
    """

    def __init__(self, tracing: "Tracing | None", observer: TurnObserver) -> None:
        self._tracing = tracing
        self.observer = CompositeObserver(observer, tracing) if tracing else observer

    def embedder(self, inner: Embedder) -> Embedder:
        """The embedder."""
        if self._tracing is None:
            return inner
        from onionskin.service.observability.instrumented import InstrumentedEmbedder  # noqa: PLC0415 - of an extra

        return InstrumentedEmbedder(self._tracing, inner)

    def store(self, *args: Any, **more: Any) -> RedisStore:
        """A `RedisStore` of these arguments."""
        if self._tracing is None:
            return RedisStore(*args, **more)
        from onionskin.service.observability.instrumented import InstrumentedStore  # noqa: PLC0415 - of an extra

        return InstrumentedStore(self._tracing, *args, **more)

    def memories(self, *args: Any, **more: Any) -> RecordService:
        """`Memories` of these arguments."""
        if self._tracing is None:
            return RecordService(*args, **more)
        from onionskin.service.observability.instrumented import InstrumentedRecordService  # noqa: PLC0415 - of an extra

        return InstrumentedRecordService(self._tracing, *args, **more)

    def learner(self, *args: Any, **more: Any) -> RecordConsolidator:
        """A `Learner` of these arguments."""
        if self._tracing is None:
            return RecordConsolidator(*args, **more)
        from onionskin.service.observability.instrumented import InstrumentedConsolidator  # noqa: PLC0415 - of an extra

        return InstrumentedConsolidator(self._tracing, *args, **more)

    def job(self, due: Task) -> AbstractContextManager[object]:
        """Stands around a job, which is in the trace of the request that made it due."""
        if self._tracing is None:
            return nullcontext()
        kind = type(due).__name__
        return self._tracing.within(f"job {kind}", {"onionskin.job": kind})
