"""What is timed without load: the start, the imports, and the built-in embedder."""

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
_IMPORT = "import time; t = time.perf_counter(); import onionskin.service.server.run; print(time.perf_counter()-t)"


def first_answer_seconds(folder: Path, starts: int) -> float:
    """From `make run`, everything installed, to the first answer: the median.

    Where there is no Makefile, from `onionskin serve`.
    """
    return statistics.median(_first_answer(folder / f"start-{one}") for one in range(starts))


def import_seconds(starts: int) -> float:
    """To import the service in a new process: the median."""
    return statistics.median(_import() for _ in range(starts))


def embedder_ms() -> float:
    """What the built-in embedder takes of a turn: the p50 of a message and of a reply, added."""
    return asyncio.run(_embedder_ms())


def _first_answer(data: Path) -> float:
    checkout = Path(__file__).resolve().parents[2]
    made = (checkout / "Makefile").exists()
    command = (
        ["make", "run"] if made else [sys.executable, "-P", "-m", "onionskin.service", "serve"]
    )
    settings = {
        "ONIONSKIN_PORT": "0",
        "ONIONSKIN_DATA_DIR": str(data),
        "ONIONSKIN_MODEL": "offline",
    }
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=checkout if made else None,
        stdout=subprocess.PIPE,
        text=True,
        env=plain_environment() | settings,
    ) as process:
        try:
            for line in process.stdout or ():
                if url := address([line]):
                    _ask(url)
                    return time.perf_counter() - began
        finally:
            stop(process)
    raise ConfigurationError(f"{' '.join(command)} does not start.")


def _ask(url: str) -> None:
    body = json.dumps({"user_id": "first", "message": "Hello."}).encode()
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(f"{url}/v1/chat", body, headers)
    with urllib.request.urlopen(asked, timeout=30) as answer:
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
