"""What both clients do with requests, answers and streams; neither waits for anything here."""

import json
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import httpx

from onionskin.client.calls import Call
from onionskin.client.errors import OnionskinApiError, UnreachableError, problem_of
from onionskin.client.parsing import parsed
from onionskin.client.results import LayerUse, Reply, Token

T = TypeVar("T")
_MOST_SECONDS = 30.0
_FIRST_PAUSE_SECONDS = 0.2
_LATER = frozenset({503})


def options(url: str, api_key: str | None, timeout: float) -> dict[str, Any]:
    """How a client of httpx is made."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return {"base_url": url, "timeout": timeout, "headers": headers}


def arguments(call: Call[Any]) -> dict[str, Any]:
    """A call as httpx sends it."""
    return {
        "method": call.method,
        "url": call.path,
        "json": call.body,
        "params": dict(call.params),
        "headers": dict(call.headers),
    }


def result(call: Call[T], response: httpx.Response) -> T:
    """What an answer says.

    Raises:
        OnionskinApiError: a problem, or something that is no answer of Onionskin's.
    """
    check(response)
    try:
        return call.read(response.json())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OnionskinApiError(
            f"The answer to {call.method} {call.path} cannot be read: {error}.",
            code="unreadable",
            status=response.status_code,
        ) from error


def check(response: httpx.Response) -> None:
    """Raise the problem of an answer, whose body was read, if it is one."""
    if response.is_success:
        return
    try:
        body = response.json()
    except ValueError:
        body = None
    raise problem_of(response.status_code, body, response.headers.get("retry-after"))


def unreachable(url: httpx.URL, error: httpx.HTTPError) -> UnreachableError:
    """The error of a service that does not answer."""
    return UnreachableError(f"The service at {url} gave no answer ({type(error).__name__}).")


def pause(call: Call[Any], error: OnionskinApiError, tries: int, most: int) -> float | None:
    """How many seconds to wait before a call is sent again; None where it is not.

    Args:
        call: which.
        error: how it ended.
        tries: how often it was sent.
        most: how often it may be sent again.
    """
    passing = isinstance(error, UnreachableError) or error.status in _LATER
    if tries > most or not (call.repeatable and passing):
        return None
    wait = error.retry_after.total_seconds() if error.retry_after else 0.0
    return min(max(wait, _FIRST_PAUSE_SECONDS * 2 ** (tries - 1)), _MOST_SECONDS)


@dataclass(slots=True)
class Events:
    """Reads server-sent events line by line.

    Attributes:
        done: the whole answer, once it is here.
    """

    done: Reply | None = None
    _name: str = ""
    _memory: tuple[LayerUse, ...] = ()

    def take(self, line: str) -> Token | Reply | None:
        """What a line completes, if anything that is told.

        Raises:
            OnionskinApiError: the answer broke off; nothing was stored.
        """
        if line.startswith("event:"):
            self._name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            return self._event(json.loads(line.removeprefix("data:")))
        return None

    def close(self) -> None:
        """Raise UnreachableError unless the answer came to its end."""
        if self.done is None:
            raise UnreachableError("The stream broke off before the answer was stored.")

    def _event(self, data: Any) -> Token | Reply | None:
        match self._name:
            case "memory":
                self._memory = tuple(parsed(LayerUse, one) for one in data["memory"])
            case "token":
                return Token(data["text"])
            case "error":
                raise problem_of(int(data.get("status", 0)), data)
            case "done":
                self.done = replace(parsed(Reply, data), memory=self._memory)
                return self.done
            case _:
                return None
        return None
