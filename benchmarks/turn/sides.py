"""The sides of the comparison: each has a server of its own, and all call the same model."""

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import redis

from onionskin.benchmarks.turn.histories import json_lines
from onionskin.benchmarks.turn.model_server import ModelBehaviour, ModelCounts
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
"""Sides without memory, which ignore histories."""

_LONG_SECONDS = 600.0
_HISTORY_AGE_SECONDS = 3600.0  # between the end of a history and the measured turns


@dataclass(frozen=True)
class Side:
    """A server under measurement.

    Attributes:
        name: Its name in the tables.
        server: Its server.
        rest: JSON text of its request bodies after user and message.
        data: Data folder of Onionskin; None for the others.
    """

    name: str
    server: Server
    rest: str
    data: Path | None
    _model: str

    @cached_property
    def redis_url(self) -> str:
        """The URL of its Redis; empty without one."""
        if self.data:
            return f"unix://{socket_path(self.data.resolve())}"
        if self.name != CLASSIC:
            return ""
        return httpx.get(f"{self.server.url}/redis").raise_for_status().json()

    def set_model(self, behaviour: ModelBehaviour) -> None:
        """Set how the model answers this side, and reset its counts."""
        body = msgspec.to_builtins(behaviour)
        httpx.post(self._model, json=body).raise_for_status()

    def read_counts(self) -> ModelCounts:
        """The calls of this side's model since the last reset."""
        response = httpx.get(self._model, timeout=_LONG_SECONDS).raise_for_status()
        return ModelCounts(**response.json())

    def redis_bytes(self) -> int | None:
        """Memory of its Redis; None without one."""
        if not self.redis_url:
            return None
        with cast("Any", redis.Redis).from_url(self.redis_url) as client:
            return int(client.info("memory")["used_memory"])

    def fill(self, user: str, turns: int, *, seed: int) -> None:
        """Store a history of a user, in bulk."""
        if self.name in FORGETFUL:
            return
        if self.name not in ONIONSKIN:
            body = {"user_id": user, "turns": turns, "seed": seed}
            url = f"{self.server.url}/fill"
            httpx.post(url, json=body, timeout=_LONG_SECONDS).raise_for_status()
            return
        until = time.time() - _HISTORY_AGE_SECONDS
        lines = json_lines(turns, seed=seed, until=until)
        url = f"{self.server.url}/v1/users/{user}/import"
        httpx.post(url, content=lines, timeout=_LONG_SECONDS).raise_for_status()


def missing(name: str) -> str:
    """Why a side is left out; empty if it can be measured."""
    if name in {MEM0, MEM0_INFERS} and find_spec("mem0") is None:
        return f"{name} is left out: mem0 is not installed (pip install 'onionskin[bench]')."
    return ""


@contextmanager
def open_sides(names: Iterable[str], folder: Path) -> Generator[dict[str, Side]]:
    """Runs the model and a server for each side inside of the context."""
    with ExitStack() as stack:
        model = stack.enter_context(
            running("onionskin.benchmarks.turn.model_server", log=folder / "model.log")
        )
        sides = {name: _open(name, model.url, folder, stack) for name in names}
        for side in sides.values():
            _ = side.server.url  # all start at the same time, and are awaited here
        yield sides


def _open(name: str, model: str, folder: Path, stack: ExitStack) -> Side:
    label = name.replace(", ", "-").replace(" ", "-")
    model_side = f"{model}/{label}"

    def start(module: str, *arguments: str, **settings: str) -> Server:
        log = folder / f"{label}.log"
        return stack.enter_context(running(module, *arguments, log=log, settings=settings))

    if name in ONIONSKIN:
        return _onionskin(name, model_side, folder / label, start)
    if name == CLASSIC:
        return Side(
            name,
            start("onionskin.benchmarks.turn.classic", f"{model_side}/v1"),
            "",
            None,
            model_side,
        )
    if name == BARE:
        return Side(
            name, start("onionskin.benchmarks.turn.bare", f"{model_side}/v1"), "", None, model_side
        )
    profile = ',"profile":"infer"' if name == MEM0_INFERS else ""
    return Side(
        name,
        start("onionskin.benchmarks.turn.mem0_chat", f"{model_side}/v1"),
        profile,
        None,
        model_side,
    )


def _onionskin(name: str, model_side: str, data: Path, start: Callable[..., Server]) -> Side:
    settings = {"ONIONSKIN_MODEL_BASE_URL": f"{model_side}/v1", "ONIONSKIN_MODEL": "bench"}
    if name == REMOTE:
        settings |= {
            "ONIONSKIN_EMBEDDER": "openai",
            "ONIONSKIN_EMBEDDER_BASE_URL": f"{model_side}/v1",
        }
    command = ("onionskin.service", "serve", "--port", "0", "--data-dir", str(data))
    server = start(*command, **settings)
    rest = ',"profile":"none"' if name == NONE else ""
    return Side(name, server, rest, data, model_side)
