"""Samples the memory of processes and of Redis every few seconds; measures its growth."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from onionskin.memory.store import Connection
from tests.faults.workers import Worker

MEGABYTE, KILOBYTE = 1 << 20, 1 << 10
_ENOUGH = 20


class Process(msgspec.Struct, frozen=True):
    """What a worker takes: bytes that are resident, its share of them, and open files."""

    pid: int
    rss: int
    pss: int
    descriptors: int


class Sample(msgspec.Struct, frozen=True):
    """One look, so many seconds and acknowledged turns after the beginning.

    Attributes:
        workers: the longest running first.
        keys: of Redis.
        redis: bytes that Redis uses.
    """

    seconds: float
    turns: int
    workers: list[Process]
    keys: int
    redis: int


class Samples:
    """All looks of a run.

    Args:
        connection: to the Redis that is looked at.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._began = connection, time.monotonic()
        self.taken: list[Sample] = []

    async def take(self, workers: Sequence[Worker], turns: int) -> Sample:
        """Look once.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        call, commands = self._connection.call, self._connection.commands
        used = int((await call(commands.info("memory")))["used_memory"])
        keys = int(await call(commands.execute_command("DBSIZE")))
        processes = [found for worker in workers if (found := _process(worker.pid))]
        sample = Sample(round(time.monotonic() - self._began, 1), turns, processes, keys, used)
        self.taken.append(sample)
        return sample

    def of(self, pid: int) -> list[tuple[Sample, Process]]:
        """Every look at one worker."""
        return [(one, found) for one in self.taken for found in one.workers if found.pid == pid]

    def growth(self, pid: int) -> float | None:
        """Megabytes that a worker grew by for 10,000 turns in the last half of its samples.

        By least squares; None while there are too few samples.
        """
        half = self.of(pid)[len(self.of(pid)) // 2 :]
        if len(half) < _ENOUGH:
            return None
        turns = np.array([sample.turns for sample, _ in half], dtype=np.float64)
        resident = np.array([process.rss for _, process in half], dtype=np.float64)
        slope: float = np.polyfit(turns, resident, 1)[0]
        return slope * 10_000 / MEGABYTE

    def descriptors(self, pid: int) -> tuple[int, int]:
        """The most open files of a worker in the second and in the last quarter of its life."""
        found = [process.descriptors for _, process in self.of(pid)]
        quarter = max(1, len(found) // 4)
        return max(found[quarter : 2 * quarter] or found), max(found[-quarter:])

    def save(self, path: Path) -> None:
        """Keep them as JSON."""
        samples: Any = msgspec.to_builtins(self.taken)
        path.write_text(json.dumps(samples, indent=1) + "\n")


def _process(pid: int) -> Process | None:
    """What the kernel says of a process; None if it is gone."""
    home = Path("/proc") / str(pid)
    try:
        sizes = dict(line.split(":", 1) for line in _rollup(home) if ":" in line)
        count = sum(1 for _ in (home / "fd").iterdir())
    except OSError:
        return None
    rss, pss = (int(sizes[name].split()[0]) * KILOBYTE for name in ("Rss", "Pss"))
    return Process(pid, rss, pss, count)


def _rollup(home: Path) -> list[str]:
    return (home / "smaps_rollup").read_text().splitlines()[1:]
