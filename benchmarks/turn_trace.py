"""Traces a chat turn: the files, functions and calls of the project that one request runs through.

The application runs in this process with its lifespan and the embedded Redis. Its model is the
offline one, or the benchmark's server of the OpenAI protocol. A user has a few turns; then one more
turn is traced by `sys.setprofile`, in every thread.

A call is each entry into a function whose code lies in memory, chains, service or client. Methods,
lambdas and comprehensions count. So does each step of a generator or coroutine: the steps after a
`yield` or an `await` that had to wait are resumptions, which are reported apart, because their
number depends on how the network splits its data.

Counted are calls on behalf of the turn until the application is done with the request: in its task,
and in the tasks, threads and callbacks that it starts. Background work of the service is not
counted, nor is work that starts after the answer, unless `after` asks for it.
"""

import asyncio
import dis
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Literal

import httpx

from onionskin.benchmarks.turn import model_server
from onionskin.benchmarks.turn.processes import running
from onionskin.service.app import create_app
from onionskin.service.settings import Settings

_PACKAGES = ("memory", "chains", "service", "client")
_ROOT = Path(sys.modules[create_app.__module__].__file__ or "").resolve().parents[1]
_FOLDERS = tuple(f"{_ROOT / package}/" for package in _PACKAGES)
_RESUME = dis.opmap["RESUME"]
_RESUME_KIND = 3  # bits of RESUME's argument; 0 is the start of a function
_MESSAGES = (
    "I live in Utrecht and work as a carpenter.",
    "My dog is called Biscuit, and she is afraid of thunder.",
    "On Sundays I cycle to the sea with my sister Ada.",
    "I am allergic to peanuts, so please mind that in recipes.",
)
_TRACED_MESSAGE = "What is my dog called, and what is she afraid of?"
_QUIET_SECONDS = 1.0  # before the traced turn, for background tasks of the turns before
_IN_TURN: ContextVar[bool] = ContextVar("in_turn", default=False)


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the project.

    Attributes:
        path: Its file, relative to the project.
        line: Its first line.
        name: Its qualified name.
    """

    path: str
    line: int
    name: str


@dataclass(slots=True)
class Trace:
    """The calls of a turn, in order.

    Attributes:
        entered: Functions at each entry.
        depths: Number of functions of the project above each entry in its stack.
        resumptions: Number of steps of generators and coroutines after a pause.
        unrelated: Number of calls at the same time that were not on behalf of the turn.
    """

    entered: list[Function] = field(default_factory=list[Function])
    depths: list[int] = field(default_factory=list[int])
    resumptions: int = 0
    unrelated: int = 0

    @property
    def files(self) -> set[str]:
        """The files of all entered functions."""
        return {function.path for function in self.entered}

    @property
    def functions(self) -> set[Function]:
        """The distinct functions."""
        return set(self.entered)

    @property
    def named(self) -> set[Function]:
        """The distinct functions without lambdas and comprehensions."""
        return {function for function in self.entered if not function.name.endswith(">")}

    @property
    def calls(self) -> int:
        """Entries and resumptions."""
        return len(self.entered) + self.resumptions


class _Tracer:
    """Profiles this thread, and each thread that starts later."""

    def __init__(self) -> None:
        self.trace, self._is_on = Trace(), False
        self._functions: dict[CodeType, Function | None] = {}

    @contextmanager
    def installed(self) -> Generator[None]:
        """The profiler is installed inside of the context; it records nothing yet."""
        threading.setprofile(self._on_event)
        sys.setprofile(self._on_event)
        try:
            yield
        finally:
            threading.setprofile(None)
            sys.setprofile(None)

    @contextmanager
    def recording(self) -> Generator[None]:
        """Calls are recorded inside of the context."""
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False

    def _on_event(self, frame: FrameType, event: str, _: object) -> None:
        if not self._is_on or event != "call":
            return
        function = self._function(frame.f_code)
        if function is None:
            return
        if not _IN_TURN.get():
            self.trace.unrelated += 1
        elif _is_resumed(frame):
            self.trace.resumptions += 1
        else:
            self.trace.entered.append(function)
            self.trace.depths.append(self._depth(frame))

    def _function(self, code: CodeType) -> Function | None:
        """The function of a code object; None where it is not of the project."""
        if code not in self._functions:
            path = str(Path(code.co_filename).resolve())
            name = path.removeprefix(f"{_ROOT}/")
            function = Function(name, code.co_firstlineno, code.co_qualname)
            self._functions[code] = function if path.startswith(_FOLDERS) else None
        return self._functions[code]

    def _depth(self, frame: FrameType) -> int:
        depth, above = 0, frame.f_back
        while above is not None:
            depth += self._function(above.f_code) is not None
            above = above.f_back
        return depth


def _is_resumed(frame: FrameType) -> bool:
    """Whether a generator or coroutine continues; its RESUME instruction differs from a start."""
    code, offset = frame.f_code.co_code, frame.f_lasti
    return offset >= 0 and code[offset] == _RESUME and code[offset + 1] & _RESUME_KIND != 0


class _TracedApp:
    """The application with its lifespan's state; once `is_armed`, requests are traced."""

    def __init__(self, app: Any, state: Mapping[str, Any], tracer: _Tracer, after: float) -> None:
        self._app, self._state, self._tracer, self._after = app, state, tracer, after
        self.is_armed = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = dict(self._state)
        if not self.is_armed:
            await self._app(scope, receive, send)
            return
        _IN_TURN.set(True)
        with self._tracer.recording():
            await self._app(scope, receive, send)
            if self._after:
                await asyncio.sleep(self._after)


def trace_turn(
    *, model: Literal["offline", "openai"], profile: str, warm_up: int, after: float
) -> Trace:
    """Trace a turn of a service in a temporary folder.

    Args:
        model: The offline model, or the benchmark's server of the OpenAI protocol.
        profile: Memory profile.
        warm_up: Turns before the traced one.
        after: Seconds after the answer in which background work of the turn is traced too.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        chosen: dict[str, Any] = {"data_dir": Path(folder) / "data", "model": "offline"}
        if model == "openai":
            log = Path(folder) / "model.log"
            server = stack.enter_context(running(model_server.__name__, log=log))
            chosen |= {"model": "bench", "model_base_url": f"{server.url}/traced/v1"}
            chosen |= {"openai_api_key": "none"}
        settings = Settings(**chosen, profile=profile)
        return asyncio.run(_trace(settings, warm_up=warm_up, after=after))


async def _trace(settings: Settings, *, warm_up: int, after: float) -> Trace:
    tracer = _Tracer()
    with tracer.installed():
        app = create_app(settings)
        async with app.router.lifespan_context(app) as state:
            traced = _TracedApp(app, state or {}, tracer, after)
            transport = httpx.ASGITransport(traced)
            url = "http://127.0.0.1"
            async with httpx.AsyncClient(transport=transport, base_url=url) as client:
                for number in range(warm_up):
                    await _turn(client, _MESSAGES[number % len(_MESSAGES)])
                await asyncio.sleep(_QUIET_SECONDS)
                traced.is_armed = True
                await asyncio.create_task(_turn(client, _TRACED_MESSAGE))
    return tracer.trace


async def _turn(client: httpx.AsyncClient, message: str) -> None:
    body = {"user_id": "traced", "message": message}
    (await client.post("/v1/chat", json=body)).raise_for_status()


def as_data(trace: Trace, *, with_calls: bool) -> dict[str, Any]:
    """The figures for programs; `with_calls` adds each call in order."""
    data: dict[str, Any] = {
        "files": len(trace.files),
        "functions": len(trace.functions),
        "named_functions": len(trace.named),
        "calls": trace.calls,
        "entries": len(trace.entered),
        "resumptions": trace.resumptions,
        "unrelated": trace.unrelated,
        "entries_by_file": dict(Counter(f.path for f in trace.entered).most_common()),
    }
    if with_calls:
        data["list"] = [f"{f.path}:{f.line} {f.name}" for f in trace.entered]
    return data


def show(trace: Trace, *, with_calls: bool) -> None:
    """Print the figures; `with_calls` prints each call before them, indented by its depth."""
    if with_calls:
        calls = zip(trace.entered, trace.depths, strict=True)
        for number, (function, depth) in enumerate(calls, 1):
            location = f"{function.path}:{function.line}"
            print(f"{number:5} {'. ' * depth}{function.name}  {location}")
    print(
        f"{len(trace.files)} files, {len(trace.functions)} functions, {trace.calls:,} calls\n"
        f"(without lambdas and comprehensions {len(trace.named)} functions; "
        f"{trace.resumptions:,} of the calls resume a generator or coroutine)"
    )
