"""Counts, checks and failures of a part of the campaign, in a JSON file to resume from."""

import json
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_MOST_FAILURES = 50


class Ledger:
    """The counts, checks and failures of one part.

    Args:
        path: The JSON file.
        goals: Required count per name.

    Attributes:
        on_change: Called whenever a count has changed.
        failures: Descriptions of failed checks; the first fifty.
        seconds: Duration up to the last `save`, over all runs.
    """

    def __init__(self, path: Path, goals: Mapping[str, int]) -> None:
        kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self.goals = dict(goals)
        self.counts: Counter[str] = Counter(kept.get("counts", {}))
        self.slowest: dict[str, float] = dict(kept.get("slowest_seconds", {}))
        self.failures: list[str] = list(kept.get("failures", []))
        self._path = path
        self.on_change: Callable[[], None] = lambda: None
        self.seconds, self._counted = float(kept.get("seconds", 0.0)), time.monotonic()

    @property
    def done(self) -> int:
        """How much of the goals is reached."""
        return sum(min(self.counts[name], goal) for name, goal in self.goals.items())

    @property
    def complete(self) -> bool:
        """Whether all of them are."""
        return self.done == sum(self.goals.values())

    def wants(self, name: str) -> bool:
        """Whether a goal is still open."""
        return self.counts[name] < self.goals.get(name, 0)

    def add(self, name: str, count: int = 1) -> None:
        """Count something that happened."""
        self.counts[name] += count
        self.on_change()

    def check(self, name: str, holds: object, what: object = "") -> bool:
        """Count a check, and note `what` if it does not hold."""
        self.counts[f"checked: {name}"] += 1
        if not holds:
            self.fail(f"{name}: {what}")
        return bool(holds)

    def fail(self, what: str) -> None:
        """Note that something promised did not hold."""
        self.counts["failures"] += 1
        if len(self.failures) < _MOST_FAILURES:
            self.failures.append(what)

    def time(self, name: str, seconds: float) -> None:
        """Note how long something took; the longest is kept."""
        self.slowest[name] = round(max(seconds, self.slowest.get(name, 0.0)), 3)

    @contextmanager
    def timing(self, name: str) -> Generator[None]:
        """Note how long the block takes."""
        began = time.monotonic()
        yield
        self.time(name, time.monotonic() - began)

    def beside(self, name: str) -> Path:
        """Where something more of this part is kept."""
        return self._path.with_name(f"{self._path.stem}-{name}")

    def save(self) -> None:
        """Keep it; a run that is killed afterwards loses nothing of it."""
        now = time.monotonic()
        self.seconds, self._counted = self.seconds + now - self._counted, now
        on_change = {
            "seconds": round(self.seconds, 1),
            "goals": self.goals,
            "counts": dict(sorted(self.counts.items())),
            "slowest_seconds": dict(sorted(self.slowest.items())),
            "failures": self.failures,
        }
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(on_change, indent=2) + "\n")
        new.replace(self._path)
