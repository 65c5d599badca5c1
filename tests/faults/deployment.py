"""The deployment under test: workers, their Redis and their model."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.faults.workers import Workers
from tests.openai_http import ApiError
from tests.openai_server import OpenAIServer, Request

PROBE = "Probing:"
"""A message that begins so is recalled for and not stored; then the model fails."""


@asynccontextmanager
async def working(
    folder: Path, redis_url: str, count: int, **settings: str
) -> AsyncGenerator[Workers]:
    """Workers before a Redis, with an echo for a model unless the settings name another."""
    folder.mkdir(parents=True, exist_ok=True)
    async with OpenAIServer(keep_requests=False) as model:
        model.reply = echo
        chosen = {
            "ONIONSKIN_REDIS_URL": redis_url,
            "ONIONSKIN_MODEL": "echo",
            "ONIONSKIN_MODEL_BASE_URL": model.base_url,
            "ONIONSKIN_MODEL_RETRIES": "0",
        }
        workers = Workers(folder, chosen | settings, model)
        try:
            await workers.start(count)
            yield workers
        finally:
            await workers.close()


def echo(request: Request) -> str:
    """The user's last line, so that each answer fits only its message; empty for a probe."""
    last = request.messages[-1][1].strip().rpartition("\n")[2]
    if last.startswith(PROBE):
        raise ApiError(500, "A probe is not answered.")
    return answer_to(last)


def answer_to(line: str) -> str:
    """What the model answers to one line."""
    return f"You said: {line}"
