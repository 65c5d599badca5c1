"""`onionskin chat`: a conversation in the terminal, or one message a line from a pipe."""

import contextlib
import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx

from onionskin.service.console import complain, counted, remark, say, say_json
from onionskin.service.http_client import ServiceError, open_client, refused, unreachable

_PROMPT = "\001\033[1;36m\002you>\001\033[0m\002 "  # what stands between \001 and \002 has no width


def converse(url: str, user: str, *, profile: str | None, as_json: bool) -> None:
    """Read messages until end of input; show each answer as it comes, and what it drew on.

    A person is told of a turn that failed, and goes on; without one it ends there.

    Raises:
        ServiceError: the service is away, or refuses.
    """
    typed = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    with open_client(url, timeout=120) as client:
        _greet(client)
        if typed:
            remark("Say something. Ctrl-D ends; what you said stays remembered.", style="dim")
        for message in _messages(typed=typed):
            body = {"user_id": user, "message": message, "profile": profile}
            try:
                _answer(client, body, as_json=as_json)
            except (ServiceError, KeyboardInterrupt) as error:
                if not typed:
                    raise
                say("")
                complain(str(error) or "The answer was broken off.")


def _greet(client: httpx.Client) -> None:
    """See that the service is there."""
    try:
        client.get("/healthz")
    except httpx.HTTPError as error:
        raise unreachable(client, error) from error


def _messages(*, typed: bool) -> Iterator[str]:
    if not typed:
        yield from filter(None, map(str.strip, sys.stdin))
        return
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # lines can then be edited
    while True:
        try:
            message = input(_PROMPT).strip()
        except EOFError:
            say("")
            return
        except KeyboardInterrupt:
            say("")
            raise
        if message:
            yield message


def _answer(client: httpx.Client, body: dict[str, Any], *, as_json: bool) -> None:
    try:
        if as_json:
            response = client.post("/v1/chat", json=body)
            if not response.is_success:
                raise refused(response)
            say_json(response.json())
        else:
            _stream(client, body | {"stream": True})
    except httpx.HTTPError as error:
        raise unreachable(client, error) from error


def _stream(client: httpx.Client, body: dict[str, Any]) -> None:
    drew_on = ""
    with client.stream("POST", "/v1/chat", json=body) as response:
        if not response.is_success:
            response.read()
            raise refused(response)
        for event, data in _events(response):
            if event == "memory":
                drew_on = _drew_on(data["memory"])
            elif event == "token":
                say(data["text"], end="")
            elif event == "error":
                say("")
                raise ServiceError(data["detail"])
    say(f"\n{drew_on}", style="dim")


def _events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    event = ""
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            yield event, json.loads(value)


def _drew_on(layers: list[dict[str, Any]]) -> str:
    parts = [
        f"{layer['layer']}: {counted(len(layer['messages']), 'message')}"
        + (f", {len(layer['recalled'])} recalled" if layer["recalled"] else "")
        + (", a summary" if layer["summary"] else "")
        for layer in layers
        if layer["tokens"]
    ]
    return "memory · " + (" · ".join(parts) or "nothing yet")
