"""What is broken in the campaign: workers, the Redis before them, and the model behind them."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from tests.openai_http import ApiError
from tests.openai_server import OpenAIServer, Request
from tests.services import Service, running_service

PROBE = "Probing:"
"""A message that begins so is recalled for, and then fails: it looks without leaving anything."""


class Workers:
    """Worker processes that can be killed one by one, and are replaced.

    Args:
        folder: for their files.
        settings: environment variables of all of them.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self._folder, self._settings = folder, dict(settings)
        self._running: list[tuple[Service, ExitStack]] = []
        self._starting: list[asyncio.Task[None]] = []
        self._log = (folder / "workers.log").open("a")

    @property
    def urls(self) -> list[str]:
        """Where those that run can be reached, the longest running first."""
        return [service.url for service, _ in self._running]

    @property
    def pids(self) -> list[int]:
        """Their process ids, in the same order."""
        return [service.process.pid for service, _ in self._running]

    async def start(self, count: int) -> None:
        """Start some, at once."""
        await asyncio.gather(*(asyncio.to_thread(self._start) for _ in range(count)))

    def _start(self) -> None:
        stack = ExitStack()
        service = running_service(self._folder, self._log, **self._settings)
        self._running.append((stack.enter_context(service), stack))

    async def kill(self, place: int) -> None:
        """SIGKILL one of them; another is started in its place, which takes a moment."""
        service, stack = self._running.pop(place)
        service.process.kill()
        await asyncio.to_thread(stack.close)
        self._starting.append(asyncio.create_task(self.start(1)))

    async def replaced(self) -> None:
        """Wait for those that were started in the place of others."""
        while self._starting:
            await self._starting.pop()

    def close(self) -> None:
        """Stop all of them."""
        for _, stack in self._running:
            stack.close()
        self._running.clear()
        self._log.close()


@asynccontextmanager
async def working(
    folder: Path, redis_url: str, count: int, **settings: str
) -> AsyncGenerator[Workers]:
    """Workers before a Redis, with an echo for a model unless the settings name another."""
    folder.mkdir(parents=True, exist_ok=True)
    async with OpenAIServer(keep_requests=False) as model:
        model.reply = echo
        chosen = {
            "STRATA_REDIS_URL": redis_url,
            "STRATA_MODEL": "echo",
            "STRATA_MODEL_BASE_URL": model.base_url,
            "STRATA_MODEL_RETRIES": "0",
        }
        workers = Workers(folder, chosen | settings)
        try:
            await workers.start(count)
            yield workers
        finally:
            await workers.replaced()
            await asyncio.to_thread(workers.close)


def echo(request: Request) -> str:
    """The last line said, so that a pair can be told from two halves; nothing for a probe."""
    last = request.messages[-1][1].strip().rpartition("\n")[2]
    if last.startswith(PROBE):
        raise ApiError(500, "A probe is not answered.")
    return answer_to(last)


def answer_to(line: str) -> str:
    """What the model answers to one line."""
    return f"You said: {line}"
