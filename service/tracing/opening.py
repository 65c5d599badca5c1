"""Whether traces are made, and where they go: as OpenTelemetry's own variables say."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from memory.errors import ConfigurationError
from service.settings import Settings

if TYPE_CHECKING:
    from service.tracing.spans import Tracing

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_log = logging.getLogger("strata.tracing")


@asynccontextmanager
async def open_tracing(
    settings: Settings, environ: Mapping[str, str] = os.environ
) -> AsyncGenerator["Tracing | None"]:
    """What makes traces, or None; what is left of them is exported in the end.

    Raises:
        ConfigurationError: `STRATA_OTEL` is `on`, and they cannot be made.
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

        from service.tracing.spans import Tracing  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "Traces need an extra: pip install 'strata-memory[otel]'."
        ) from error
    resource = Resource.create()
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "strata"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider, content=content)
