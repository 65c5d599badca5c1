"""Load from wrk, a compiled client: what is measured is the server."""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from onionskin.memory.errors import ConfigurationError

_SCRIPT = Path(__file__).with_name("load.lua")


class Load(msgspec.Struct, frozen=True):
    """What clients saw in a stretch of time.

    Attributes:
        turns: answers that came.
        seconds: how long it was.
        errors: answers that were none.
        latencies: microseconds, and how many answers took so long.
    """

    turns: int
    seconds: float
    errors: int
    latencies: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Loads:
    """Several stretches, as one."""

    stretches: list[Load] = field(default_factory=list[Load])

    @property
    def turns(self) -> int:
        """Answers that came."""
        return sum(one.turns for one in self.stretches)

    @property
    def errors(self) -> int:
        """Answers that were none."""
        return sum(one.errors for one in self.stretches)

    @property
    def per_second(self) -> float:
        """Turns a second."""
        return self.turns / sum(one.seconds for one in self.stretches)

    def percentile(self, share: float) -> float:
        """The latency, in milliseconds, that this share of all turns did not exceed."""
        seen = sorted(pair for one in self.stretches for pair in one.latencies)
        wanted = share * sum(count for _, count in seen)
        for microseconds, count in seen:
            wanted -= count
            if wanted <= 0:
                return microseconds / 1e3
        return 0.0


def find_wrk() -> str:
    """The path of wrk.

    Raises:
        ConfigurationError: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise ConfigurationError(
            "The benchmark's load comes from wrk, which is not installed: apt-get install wrk, "
            "or brew install wrk."
        )
    return found


def load(
    url: str, *, clients: int, seconds: int, name: str, turn: int, rest: str, texts: Path
) -> Load:
    """Turns of so many clients for so long.

    Args:
        url: of the server.
        clients: each has one connection and a user of its own, `name` and a number.
        seconds: how long.
        name: what users are called.
        turn: the number of the last turn that these users had.
        rest: what a body holds beside user and message, beginning with a comma, or nothing.
        texts: a file of sentences, one a line.
    """
    command = [find_wrk(), f"-t{clients}", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s"]
    command += ["-s", str(_SCRIPT), url, "--", "/v1/chat", name, str(turn), rest, str(texts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    _, found, told = done.stdout.partition("\nJSON ")
    if not found:
        raise ConfigurationError(f"wrk failed: {done.stderr or done.stdout}")
    return msgspec.json.decode(told, type=Load)
