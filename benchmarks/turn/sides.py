"""What is measured side by side: each a server of its own, all asking the same model."""

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import httpx
import redis

from onionskin.benchmarks.turn.histories import json_lines
from onionskin.benchmarks.turn.model_server import Counted, Ways
from onionskin.benchmarks.turn.processes import Server, running
from onionskin.memory.store import socket_path

BARE, NONE, LAYERED, REMOTE = (
    "bare",
    "onionskin none",
    "onionskin layered",
    "onionskin layered, remote",
)
CLASSIC, MEM0, MEM0_INFERS = "classic", "mem0", "mem0, inferring"
ONIONSKIN = (NONE, LAYERED, REMOTE)
FORGETFUL = (BARE, NONE)
"""Sides to which a history makes no difference."""

_LONG_SECONDS = 600.0
_LAST_SAID_SECONDS = 3600.0  # how long the history ended before the measured turns


@dataclass(frozen=True)
class Side:
    """A server under measurement.

    Attributes:
        name: what it is called in the tables.
        rest: what its bodies hold beside user and message.
        data: where Onionskin's Redis lives; None for the others.
    """

    name: str
    server: Server
    rest: str
    data: Path | None
    _model: str

    @cached_property
    def redis_url(self) -> str:
        """Of its Redis; empty for none."""
        if self.data:
            return f"unix://{socket_path(self.data.resolve())}"
        if self.name != CLASSIC:
            return ""
        return httpx.get(f"{self.server.url}/redis").raise_for_status().json()

    def answered(self, ways: Ways) -> None:
        """Have the model answer in these ways, and count anew."""
        body = {"chat_ms": ways.chat_ms, "embed_ms": ways.embed_ms, "keep": ways.keep}
        httpx.post(self._model, json=body).raise_for_status()

    def counted(self) -> Counted:
        """What the model was asked since."""
        told = httpx.get(self._model, timeout=_LONG_SECONDS).raise_for_status()
        return Counted(**told.json())

    def redis_bytes(self) -> int | None:
        """How much its Redis holds."""
        if not self.redis_url:
            return None
        with cast("Any", redis.Redis).from_url(self.redis_url) as client:
            return int(client.info("memory")["used_memory"])

    def fill(self, user: str, turns: int, *, seed: int) -> None:
        """Give a user a history, in bulk."""
        if self.name in FORGETFUL:
            return
        if self.name not in ONIONSKIN:
            body = {"user_id": user, "turns": turns, "seed": seed}
            url = f"{self.server.url}/fill"
            httpx.post(url, json=body, timeout=_LONG_SECONDS).raise_for_status()
            return
        until = time.time() - _LAST_SAID_SECONDS
        lines = json_lines(turns, seed=seed, until=until)
        url = f"{self.server.url}/v1/users/{user}/import"
        httpx.post(url, content=lines, timeout=_LONG_SECONDS).raise_for_status()


def missing(name: str) -> str:
    """Why a side is left out; empty when it is not."""
    if name in {MEM0, MEM0_INFERS} and find_spec("mem0") is None:
        return f"{name} is left out: mem0 is not installed (pip install 'onionskin[bench]')."
    return ""


@contextmanager
def open_sides(names: Iterable[str], folder: Path) -> Generator[dict[str, Side]]:
    """Start the model and a server for each side, and stop them in the end."""
    with ExitStack() as stack:
        model = stack.enter_context(
            running("onionskin.benchmarks.turn.model_server", log=folder / "model.log")
        )
        sides = {name: _open(name, model.url, folder, stack) for name in names}
        for side in sides.values():
            _ = side.server.url  # they start at the same time; here all are awaited
        yield sides


def _open(name: str, model: str, folder: Path, stack: ExitStack) -> Side:
    label = name.replace(", ", "-").replace(" ", "-")
    asked = f"{model}/{label}"

    def start(module: str, *arguments: str, **settings: str) -> Server:
        log = folder / f"{label}.log"
        return stack.enter_context(running(module, *arguments, log=log, settings=settings))

    if name in ONIONSKIN:
        return _onionskin(name, asked, folder / label, start)
    if name == CLASSIC:
        return Side(
            name, start("onionskin.benchmarks.turn.classic", f"{asked}/v1"), "", None, asked
        )
    if name == BARE:
        return Side(name, start("onionskin.benchmarks.turn.bare", f"{asked}/v1"), "", None, asked)
    profile = ',"profile":"infer"' if name == MEM0_INFERS else ""
    return Side(
        name, start("onionskin.benchmarks.turn.mem0_chat", f"{asked}/v1"), profile, None, asked
    )


def _onionskin(name: str, asked: str, data: Path, start: Callable[..., Server]) -> Side:
    settings = {"ONIONSKIN_MODEL_BASE_URL": f"{asked}/v1", "ONIONSKIN_MODEL": "bench"}
    if name == REMOTE:
        settings |= {"ONIONSKIN_EMBEDDER": "openai", "ONIONSKIN_EMBEDDER_BASE_URL": f"{asked}/v1"}
    served = ("onionskin.service", "serve", "--port", "0", "--data-dir", str(data))
    server = start(*served, **settings)
    rest = ',"profile":"none"' if name == NONE else ""
    return Side(name, server, rest, data, asked)
