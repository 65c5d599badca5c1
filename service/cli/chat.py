"""`onionskin chat`: a conversation in the terminal, or one message per line from a pipe."""

import contextlib
import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx

from onionskin.service.console import complain, counted, remark, say, say_json
from onionskin.service.http_client import ServiceError, open_client, refused, unreachable

_PROMPT = "\001\033[1;36m\002you>\001\033[0m\002 "  # readline ignores the width of \001...\002


def run_chat(url: str, user: str, *, profile: str | None, as_json: bool) -> None:
    """Send each line of input as a message; print the answer and the memory it used.

    In a terminal a failed turn prints its error, and the chat continues. With a pipe it ends.

    Raises:
        ServiceError: The service is unavailable, or refuses a message.
    """
    is_interactive = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    with open_client(url, timeout=120) as client:
        _check_service(client)
        if is_interactive:
            remark("Type a message. Ctrl-D exits; your messages stay remembered.", style="dim")
        for message in _messages(is_interactive=is_interactive):
            body = {"user_id": user, "message": message, "profile": profile}
            try:
                _answer(client, body, as_json=as_json)
            except (ServiceError, KeyboardInterrupt) as error:
                if not is_interactive:
                    raise
                say("")
                complain(str(error) or "The answer was stopped.")


def _check_service(client: httpx.Client) -> None:
    """Fail early if the service does not answer."""
    try:
        client.get("/healthz")
    except httpx.HTTPError as error:
        raise unreachable(client, error) from error


def _messages(*, is_interactive: bool) -> Iterator[str]:
    if not is_interactive:
        yield from filter(None, map(str.strip, sys.stdin))
        return
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # enables line editing
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
    memory_line = ""
    with client.stream("POST", "/v1/chat", json=body) as response:
        if not response.is_success:
            response.read()
            raise refused(response)
        for event, data in _events(response):
            if event == "memory":
                memory_line = _memory_line(data["memory"])
            elif event == "token":
                say(data["text"], end="")
            elif event == "error":
                say("")
                raise ServiceError(data["detail"])
    say(f"\n{memory_line}", style="dim")


def _events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    event = ""
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            yield event, json.loads(value)


def _memory_line(layers: list[dict[str, Any]]) -> str:
    parts = [
        f"{layer['layer']}: {counted(len(layer['messages']), 'message')}"
        + (f", {len(layer['recalled'])} recalled" if layer["recalled"] else "")
        + (", a summary" if layer["summary"] else "")
        for layer in layers
        if layer["tokens"]
    ]
    return "memory · " + (" · ".join(parts) or "nothing yet")
