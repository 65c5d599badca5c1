"""What is left of the allowances that a request counts against, in headers as OpenAI has them.

`x-ratelimit-limit-requests`, `-remaining-requests` and `-reset-requests`, and the same of tokens.
Where several allowances hold, the one of which the least is left is told.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from fastapi import Request
from starlette.types import Scope


@dataclass(frozen=True, slots=True)
class Quota:
    """An allowance, once the request at hand is counted.

    Attributes:
        kind: of what.
        limit: how much there is of it.
        remaining: how much is left.
        reset: until there is more.
    """

    kind: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset: timedelta

    def headers(self) -> dict[str, str]:
        """The three headers of its kind."""
        return {
            f"x-ratelimit-limit-{self.kind}": str(self.limit),
            f"x-ratelimit-remaining-{self.kind}": str(self.remaining),
            f"x-ratelimit-reset-{self.kind}": _written(self.reset),
        }


def note(request: Request, quotas: Iterable[Quota]) -> None:
    """Have the answer to `request` tell these quotas too."""
    request.state.quotas = (*_noted(request.scope), *quotas)


def quota_headers(scope: Scope) -> dict[str, str]:
    """The headers of all that was noted for a request."""
    found: dict[str, str] = {}
    for quota in sorted(_noted(scope), key=lambda one: one.remaining, reverse=True):
        found |= quota.headers()
    return found


def _noted(scope: Scope) -> tuple[Quota, ...]:
    return scope["state"].get("quotas", ())


def _written(span: timedelta) -> str:
    """As Go writes it: `320ms`, `59s`, `6m0s`, `1h0m5s`."""
    milliseconds = math.ceil(span.total_seconds() * 1000)
    if milliseconds < 1000:  # noqa: PLR2004
        return f"{milliseconds}ms"
    minutes, seconds = divmod(math.ceil(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
