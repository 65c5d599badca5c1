"""Requests, responses, retries and event streams, as both clients share them. Performs no I/O."""

import json
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import httpx

from onionskin.client.errors import OnionskinApiError, UnreachableError, problem_of
from onionskin.client.operations import Operation
from onionskin.client.results import LayerUse, Reply, Token, decode

T = TypeVar("T")
_LONGEST_DELAY_SECONDS = 30.0
_FIRST_DELAY_SECONDS = 0.2
_RETRIED_STATUSES = frozenset({503})


def client_options(url: str, api_key: str | None, timeout: float) -> dict[str, Any]:
    """Arguments for the constructor of an httpx client."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return {"base_url": url, "timeout": timeout, "headers": headers}


def request_arguments(operation: Operation[Any]) -> dict[str, Any]:
    """Arguments for `request` and `stream` of an httpx client."""
    return {
        "method": operation.method,
        "url": operation.path,
        "json": operation.body,
        "params": dict(operation.params),
        "headers": dict(operation.headers),
    }


def result_of(operation: Operation[T], response: httpx.Response) -> T:
    """The decoded result of a response.

    Raises:
        OnionskinApiError: The service answered with a problem, or the answer cannot be decoded.
    """
    raise_for_problem(response)
    try:
        return operation.decode(response.json())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OnionskinApiError(
            f"The answer to {operation.method} {operation.path} cannot be read: {error}.",
            code="unreadable",
            status=response.status_code,
        ) from error


def raise_for_problem(response: httpx.Response) -> None:
    """Raise OnionskinApiError if the response is unsuccessful; its body must have been read."""
    if response.is_success:
        return
    try:
        body = response.json()
    except ValueError:
        body = None
    raise problem_of(response.status_code, body, response.headers.get("retry-after"))


def unreachable(url: httpx.URL, error: httpx.HTTPError) -> UnreachableError:
    """The error for a service that does not answer."""
    return UnreachableError(f"The service at {url} gave no answer ({type(error).__name__}).")


def retry_delay(
    operation: Operation[Any], error: OnionskinApiError, *, attempts: int, retries: int
) -> float | None:
    """Seconds to wait before the next attempt; None if the request must not be repeated.

    Args:
        operation: The operation that failed.
        error: Its error.
        attempts: How many times the request has been sent.
        retries: Maximum number of retries.
    """
    is_transient = isinstance(error, UnreachableError) or error.status in _RETRIED_STATUSES
    if attempts > retries or not (operation.repeatable and is_transient):
        return None
    wait = error.retry_after.total_seconds() if error.retry_after else 0.0
    backoff = _FIRST_DELAY_SECONDS * 2 ** (attempts - 1)
    return min(max(wait, backoff), _LONGEST_DELAY_SECONDS)


@dataclass(slots=True)
class EventReader:
    """Reads server-sent events line by line.

    Attributes:
        reply: The whole answer, once the stream has delivered it.
    """

    reply: Reply | None = None
    _event: str = ""
    _memory: tuple[LayerUse, ...] = ()

    def feed(self, line: str) -> Token | Reply | None:
        """The token or reply that a line completes, if any.

        Raises:
            OnionskinApiError: The service reported an error.
        """
        if line.startswith("event:"):
            self._event = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            return self._handle(json.loads(line.removeprefix("data:")))
        return None

    def close(self) -> None:
        """Raise UnreachableError unless the stream delivered the whole answer."""
        if self.reply is None:
            raise UnreachableError("The stream broke off before the answer was stored.")

    def _handle(self, data: Any) -> Token | Reply | None:
        match self._event:
            case "memory":
                self._memory = tuple(decode(LayerUse, layer) for layer in data["memory"])
            case "token":
                return Token(data["text"])
            case "error":
                raise problem_of(int(data.get("status", 0)), data)
            case "done":
                self.reply = replace(decode(Reply, data), memory=self._memory)
                return self.reply
            case _:
                return None
        return None
