"""Set-up of traces from OpenTelemetry's own environment variables."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from onionskin.memory.errors import ConfigurationError
from onionskin.memory.records.consolidation import RecordConsolidator
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import Embedder
from onionskin.memory.store import Transcripts, TranscriptsFactory, kind_of
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
    """The maker of spans, or None where no traces are exported; exports the last ones on exit.

    Raises:
        ConfigurationError: `ONIONSKIN_OTEL` is `on`, and traces cannot be exported.
    """
    if settings.otel == "off" or (settings.otel == "auto" and not _is_configured(environ)):
        yield None
        return
    try:
        tracing = _start_export(environ, content=settings.otel_content)
    except ConfigurationError as error:
        if settings.otel == "on":
            raise
        _log.warning("traces are not exported", extra={"reason": str(error)})
        yield None
        return
    try:
        yield tracing
    finally:
        await asyncio.to_thread(tracing.shutdown)


def _is_configured(environ: Mapping[str, str]) -> bool:
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    has_endpoint = any(environ.get(name, "").strip() for name in _ENDPOINTS)
    return has_endpoint and not disabled and exporter == "otlp"


def _start_export(environ: Mapping[str, str], *, content: bool) -> "Tracing":
    protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        raise ConfigurationError(
            f"Traces are exported as http/protobuf, not as {protocol!r}. Set "
            "OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf, and the endpoint to the collector's "
            "HTTP port (4318)."
        )
    try:  # needs an extra and half a second
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


class Instrumentation:
    """Wraps collaborators so that their calls are spans; without `tracing` it returns them as is.

    Args:
        tracing: Makes the spans; None where no traces are exported.
    """

    def __init__(self, tracing: "Tracing | None") -> None:
        self._tracing = tracing

    def transcripts(self) -> TranscriptsFactory:
        """Makes a store's repository of transcripts."""
        if self._tracing is None:
            return Transcripts
        from onionskin.service.observability.instrumented import InstrumentedTranscripts  # noqa: PLC0415

        return partial(InstrumentedTranscripts, tracing=self._tracing)

    def embedder(self, embedder: Embedder) -> Embedder:
        """The embedder, wrapped."""
        if self._tracing is None:
            return embedder
        from onionskin.service.observability import instrumented  # noqa: PLC0415 - needs an extra

        return instrumented.InstrumentedEmbedder(embedder, self._tracing)

    def records(self, records: RecordService) -> RecordService:
        """The record service, wrapped."""
        if self._tracing is None:
            return records
        from onionskin.service.observability import instrumented  # noqa: PLC0415 - needs an extra

        return instrumented.InstrumentedRecordService(records, self._tracing)

    def consolidator(self, consolidator: RecordConsolidator) -> RecordConsolidator:
        """The consolidator, wrapped."""
        if self._tracing is None:
            return consolidator
        from onionskin.service.observability import instrumented  # noqa: PLC0415 - needs an extra

        return instrumented.InstrumentedConsolidator(consolidator, self._tracing)

    def task_span(self, task: Task) -> AbstractContextManager[object]:
        """The span of a background task, in the trace of the request that submitted it."""
        if self._tracing is None:
            return nullcontext()
        kind = kind_of(task)
        return self._tracing.span(f"job {kind}", {"onionskin.job": kind})
