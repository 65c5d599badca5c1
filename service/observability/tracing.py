"""Spans of requests, turns, model calls, memory operations and tasks.

They hold no user ids, and texts only with `ONIONSKIN_OTEL_CONTENT`.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    format_trace_id,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

from onionskin.chains.observers import ModelCall, StageEvent, outcome_of
from onionskin.memory.types.snapshot import Section
from onionskin.service.observability import genai_attributes as genai
from onionskin.service.observability.genai_attributes import Attributes, MemoryOperation
from onionskin.service.observability.request_context import PSEUDONYM

_SERVER_ERROR = 500
_propagator = TraceContextTextMapPropagator()


class Tracing:
    """Makes the spans of this process; a `TurnObserver`.

    Args:
        provider: Receives the spans; `shutdown` shuts it down.
        content: Whether spans hold texts: messages, answers, memories.
    """

    def __init__(self, provider: TracerProvider, *, content: bool = False) -> None:
        self._provider, self._content = provider, content
        self._tracer = provider.get_tracer("onionskin")

    def shutdown(self) -> None:
        """Export the remaining spans; blocks."""
        self._provider.shutdown()

    @contextmanager
    def request(self, scope: Scope) -> Generator["RequestSpan"]:
        """The span of a request, in the trace of its `traceparent` header if it has one."""
        carrier = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        with self._tracer.start_as_current_span(
            scope["method"],
            context=_propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": scope["method"], "url.scheme": scope["scheme"]},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield RequestSpan(span)
            except BaseException as error:
                _failed(span, outcome_of(error))
                raise

    @contextmanager
    def stage(self, stage: StageEvent) -> Generator[None]:
        """The span of a turn's stage; recall is a `search_memory`."""
        if stage.name != "recall":
            with self.span(stage.name, {}):
                yield
            return
        with self.span("search_memory", _memory("search_memory")) as span:
            yield
            span.set_attributes(genai.recall_attributes(stage, content=self._content))

    @contextmanager
    def model_call(self, call: ModelCall) -> Generator[None]:
        """The span of a model call. It is never the current span: a stream crosses many tasks."""
        name = f"chat {genai.model_name(call.model)}"
        kind = (
            SpanKind.INTERNAL if genai.provider_of(call.model) == "onionskin" else SpanKind.CLIENT
        )
        span = self._tracer.start_span(name, kind=kind, attributes=genai.request_attributes(call))
        try:
            yield
        except BaseException as error:
            _failed(span, outcome_of(error))
            raise
        finally:
            span.set_attributes(genai.response_attributes(call))
            if self._content:
                span.set_attributes(genai.content_attributes(call))
            span.end()

    def turn(self, profile: str, outcome: str, sections: Sequence[Section]) -> None:
        """Set profile and outcome of a turn on the span of its request."""
        del sections
        get_current_span().set_attributes(
            {"onionskin.profile": profile, "onionskin.outcome": outcome}
        )

    @contextmanager
    def memory(self, operation: MemoryOperation) -> Generator[None]:
        """The span of an operation on a user's records."""
        with self.span(operation.name, _memory(operation.name)) as span:
            try:
                yield
            finally:
                span.set_attributes(genai.operation_attributes(operation, content=self._content))

    @contextmanager
    def span(
        self, name: str, attributes: Attributes, kind: SpanKind = SpanKind.INTERNAL
    ) -> Generator[Span]:
        """A current span around a body that runs in one task; it fails with the body."""
        with self._tracer.start_as_current_span(
            name,
            kind=kind,
            attributes=attributes,
            record_exception=False,  # the text of an error may hold user data
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                _failed(span, outcome_of(error))
                raise


class RequestSpan:
    """The span of a request."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def trace_id(self) -> str:
        """The id of its trace, for the log."""
        return format_trace_id(self._span.get_span_context().trace_id)

    def set_response(self, method: str, route: str, status: int) -> None:
        """Set route and status. The path is left out: it holds a user's id."""
        self._span.update_name(f"{method} {route}")
        self._span.set_attributes({"http.route": route, "http.response.status_code": status})
        if user := PSEUDONYM.get():
            self._span.set_attribute("enduser.pseudo.id", user)
        if status >= _SERVER_ERROR:
            _failed(self._span, str(status))


def _memory(operation: genai.Operation) -> Attributes:
    attributes: Attributes = {"gen_ai.operation.name": operation}
    if user := PSEUDONYM.get():
        attributes["gen_ai.memory.store.id"] = user
    return attributes


def _failed(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))
