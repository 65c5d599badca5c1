"""A collector: takes OTLP over HTTP, and keeps the spans."""

import gzip
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as it was exported."""

    name: str
    trace_id: str
    id: str
    parent_id: str
    kind: str
    failed: bool
    attributes: dict[str, object]
    resource: dict[str, object]


@dataclass(slots=True)
class Collector:
    """What came in.

    Attributes:
        url: for `OTEL_EXPORTER_OTLP_ENDPOINT`.
        raw: all bodies, as one.
        paths: where they were posted.
    """

    url: str
    spans: list[Seen] = field(default_factory=list[Seen])
    raw: bytes = b""
    paths: set[str] = field(default_factory=set[str])

    def named(self, name: str) -> list[Seen]:
        """The spans of a name, in the order in which they ended."""
        return [span for span in self.spans if span.name == name]

    def only(self, name: str) -> Seen:
        """The one span of a name."""
        found = self.named(name)
        assert len(found) == 1, (name, [span.name for span in self.spans])
        return found[0]

    def children(self, of: Seen) -> list[str]:
        """The names of the spans right below one."""
        return [span.name for span in self.spans if span.parent_id == of.id]

    def take(self, path: str, body: bytes) -> None:
        """Keep what was posted."""
        self.raw += body
        self.paths.add(path)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _plain(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [_seen(span, resource) for span in scope.spans]


@contextmanager
def collecting() -> Generator[Collector]:
    """A collector on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(self.path, body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join(10)


def _seen(span: Span, resource: dict[str, object]) -> Seen:
    return Seen(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.status.code == 2,
        _plain(span.attributes),
        resource,
    )


def _plain(attributes: object) -> dict[str, object]:
    found: dict[str, object] = {}
    for one in attributes:  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        assert isinstance(one, KeyValue)
        found[one.key] = _value(one.value)
    return found


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind or "string_value")
