"""Quotas of a request, and the `x-ratelimit-*` response headers that show them as OpenAI does."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from starlette.types import Scope


@dataclass(frozen=True, slots=True)
class Quota:
    """An allowance, after the current request is counted.

    Attributes:
        kind: What is counted.
        limit: The allowance.
        remaining: The rest of it.
        reset: Time until there is more.
    """

    kind: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset: timedelta

    def headers(self) -> dict[str, str]:
        """The three headers of its kind, such as `x-ratelimit-limit-requests`."""
        return {
            f"x-ratelimit-limit-{self.kind}": str(self.limit),
            f"x-ratelimit-remaining-{self.kind}": str(self.remaining),
            f"x-ratelimit-reset-{self.kind}": _format_duration(self.reset),
        }


class Quotas:
    """All quotas of a request; its response shows the one of each kind with the least left."""

    def __init__(self) -> None:
        self._by_kind: dict[str, Quota] = {}

    def add(self, quotas: Iterable[Quota]) -> None:
        """Add quotas that the request was counted against."""
        for quota in quotas:
            known = self._by_kind.get(quota.kind)
            if known is None or quota.remaining <= known.remaining:
                self._by_kind[quota.kind] = quota

    def headers(self) -> dict[str, str]:
        """The headers of the response."""
        return {
            name: value
            for quota in self._by_kind.values()
            for name, value in quota.headers().items()
        }


def add_quotas(scope: Scope, quotas: Iterable[Quota]) -> None:
    """Add quotas to those that the response to a request shows."""
    scope["state"].setdefault("quotas", Quotas()).add(quotas)


def quota_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The headers of a request's quotas, encoded; empty without any."""
    quotas: Quotas | None = scope["state"].get("quotas")
    if quotas is None:
        return []
    return [(name.encode(), value.encode()) for name, value in quotas.headers().items()]


def _format_duration(duration: timedelta) -> str:
    """A duration in Go's format: `320ms`, `59s`, `6m0s`, `1h0m5s`."""
    milliseconds = math.ceil(duration.total_seconds() * 1000)
    if milliseconds < 1000:  # noqa: PLR2004
        return f"{milliseconds}ms"
    minutes, seconds = divmod(math.ceil(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
