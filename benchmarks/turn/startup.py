"""Times without load: the start of the service, its imports, and the built-in embedder."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from onionskin.benchmarks.turn.histories import sentences
from onionskin.benchmarks.turn.processes import address, plain_environment, stop
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.retrieval import StaticEmbedder

_TEXTS = 500
_IMPORT = """\
import time
began = time.perf_counter()
import onionskin.service.server.run
print(time.perf_counter() - began)
"""


def first_answer_seconds(folder: Path, starts: int) -> float:
    """The median time from `make run` to the first answer, with everything installed.

    Without a Makefile, the command is `onionskin serve`.
    """
    return statistics.median(_first_answer(folder / f"start-{number}") for number in range(starts))


def import_seconds(starts: int) -> float:
    """The median time to import the service in a new process."""
    return statistics.median(_import() for _ in range(starts))


def embedder_ms() -> float:
    """The p50 time of the built-in embedder per turn, for a message and a reply."""
    return asyncio.run(_embedder_ms())


def _first_answer(data: Path) -> float:
    checkout = Path(__file__).resolve().parents[2]
    has_makefile = (checkout / "Makefile").exists()
    command = (
        ["make", "run"]
        if has_makefile
        else [sys.executable, "-P", "-m", "onionskin.service", "serve"]
    )
    settings = {
        "ONIONSKIN_PORT": "0",
        "ONIONSKIN_DATA_DIR": str(data),
        "ONIONSKIN_MODEL": "offline",
    }
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=checkout if has_makefile else None,
        stdout=subprocess.PIPE,
        text=True,
        env=plain_environment() | settings,
    ) as process:
        try:
            for line in process.stdout or ():
                if url := address([line]):
                    _send_turn(url)
                    return time.perf_counter() - began
        finally:
            stop(process)
    raise ConfigurationError(f"{' '.join(command)} did not start.")


def _send_turn(url: str) -> None:
    body = json.dumps({"user_id": "first", "message": "Hello."}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/chat", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()


def _import() -> float:
    command = [sys.executable, "-c", _IMPORT]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


async def _embedder_ms() -> float:
    embedder = StaticEmbedder()
    took: list[float] = []
    for text in sentences(2 * _TEXTS, seed=9):
        began = time.perf_counter()
        await embedder.embed([text])
        took.append(time.perf_counter() - began)
    return 2 * statistics.median(took[_TEXTS:]) * 1e3
