"""What can go wrong with a request to the OpenAI server for tests."""

from dataclasses import dataclass
from datetime import timedelta
from threading import Event

from tests.openai_http import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with a request: delays, and at most one way of failing.

    Raises:
        ValueError: it fails in two ways at once, or has a `retry_after` without a `status`.
    """

    delay: timedelta = timedelta(0)
    """Before anything is answered."""
    until: Event | None = None
    """Nothing is answered before the test sets it."""
    token_delay: timedelta = timedelta(0)
    """Between the tokens of a stream."""
    status: int | None = None
    """Answer with this status and an error in OpenAI's shape."""
    retry_after: timedelta | None = None
    """Goes with `status`, as a Retry-After header."""
    cut_after_tokens: int | None = None
    """Drop the connection after so many tokens. Concerns only requests that stream."""
    end_after_tokens: int | None = None
    """End the stream as if it were complete, but without finish_reason, usage and [DONE].
    Concerns only requests that stream."""
    body: bytes | None = None
    """Sent as it is, with status 200 and as application/json."""
    encoding: str | None = None
    """Goes with `body`, as a Content-Encoding header."""
    refuse: bool = False
    """Close the connection without a byte of an answer."""
    hang: bool = False
    """Never answer; the connection stays open until the client gives up."""
    purpose: str | None = None
    """Concerns only requests whose path ends with it, e.g. "embeddings"."""

    def __post_init__(self) -> None:
        ways = (self.status, self.cut_after_tokens, self.end_after_tokens, self.body)
        count = sum(way is not None for way in ways) + self.refuse + self.hang
        if count > 1:
            raise ValueError(f"{self!r} fails in {count} ways at once: choose one.")
        if self.retry_after is not None and self.status is None:
            raise ValueError("retry_after goes with an error: give a status too, e.g. 429.")

    def concerns(self, request: Request) -> bool:
        """Whether it applies to this request; if not, it waits for one to which it does."""
        if self.purpose is not None and not request.path.endswith(self.purpose):
            return False
        breaks_stream = self.cut_after_tokens is not None or self.end_after_tokens is not None
        return request.streams or not breaks_stream
