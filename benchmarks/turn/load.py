"""Load from wrk, a compiled client that hardly adds to the measured times."""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from onionskin.memory.errors import ConfigurationError

_SCRIPT = Path(__file__).with_name("load.lua")


class Load(msgspec.Struct, frozen=True):
    """The answers that clients received in a period.

    Attributes:
        turns: Number of answers.
        seconds: Length of the period.
        errors: Number of failures.
        latencies: Latencies in microseconds, each with its number of answers.
    """

    turns: int
    seconds: float
    errors: int
    latencies: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Loads:
    """The sum of several loads."""

    loads: list[Load] = field(default_factory=list[Load])

    @property
    def turns(self) -> int:
        """Number of answers."""
        return sum(load.turns for load in self.loads)

    @property
    def errors(self) -> int:
        """Number of failures."""
        return sum(load.errors for load in self.loads)

    @property
    def per_second(self) -> float:
        """Turns per second."""
        return self.turns / sum(load.seconds for load in self.loads)

    def percentile(self, share: float) -> float:
        """The latency, in milliseconds, that this share of the turns does not exceed."""
        latencies = sorted(pair for load in self.loads for pair in load.latencies)
        remaining = share * sum(count for _, count in latencies)
        for microseconds, count in latencies:
            remaining -= count
            if remaining <= 0:
                return microseconds / 1e3
        return 0.0


def find_wrk() -> str:
    """The path of wrk.

    Raises:
        ConfigurationError: It is not installed.
    """
    path = shutil.which("wrk")
    if path is None:
        raise ConfigurationError(
            "The benchmark's load comes from wrk, which is not installed: apt-get install wrk, "
            "or brew install wrk."
        )
    return path


def load(
    url: str, *, clients: int, seconds: int, name: str, turn: int, rest: str, texts: Path
) -> Load:
    """Send turns of several clients for a period.

    Args:
        url: URL of the server.
        clients: Number of clients; each has a connection and a user of its own.
        seconds: Length of the period.
        name: Prefix of the users' names, before the client's number.
        turn: Number of the last turn of these users.
        rest: JSON text of a request body after user and message, with a leading comma, or nothing.
        texts: File with a sentence on each line.
    """
    command = [find_wrk(), f"-t{clients}", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s"]
    command += ["-s", str(_SCRIPT), url, "--", "/v1/chat", name, str(turn), rest, str(texts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    _, separator, figures = done.stdout.partition("\nJSON ")
    if not separator:
        raise ConfigurationError(f"wrk failed: {done.stderr or done.stdout}")
    return msgspec.json.decode(figures, type=Load)
