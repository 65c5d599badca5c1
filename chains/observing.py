"""Who wants to know how turns go: told in figures, never in texts."""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Protocol

from langchain_core.messages.ai import UsageMetadata

from memory.types import Section


class Observer(Protocol):
    """Told of turns as they go."""

    def stage(self, name: str, seconds: float) -> None:
        """A stage of a turn, `recall`, `think` or `remember`, took so long."""
        ...

    def turn(
        self,
        profile: str,
        outcome: str,
        sections: Sequence[Section],
        usage: UsageMetadata | None,
    ) -> None:
        """A turn ended: `stored`, `interrupted`, `cancelled`, or an error's code."""
        ...


class Unobserved:
    """Nobody wants to know."""

    def stage(self, name: str, seconds: float) -> None:
        """Nothing."""

    def turn(
        self,
        profile: str,
        outcome: str,
        sections: Sequence[Section],
        usage: UsageMetadata | None,
    ) -> None:
        """Nothing."""


@contextmanager
def timed(observer: Observer, stage: str) -> Generator[None]:
    """Tell how long the body took, unless it failed."""
    began = time.perf_counter()
    yield
    observer.stage(stage, time.perf_counter() - began)
