"""How much of the model a user and a tenant may use in a day."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from memory.errors import StrataError
from memory.store import RedisStore
from memory.store.usage import Used, add_usage
from memory.types import User
from service.quotas import Quota

_DAY_SECONDS = 86_400


class BudgetSpentError(StrataError):
    """The day's budget is spent.

    Attributes:
        quota: of which nothing is left.
        retry_after: when the next day begins.
    """

    code = "budget_spent"

    def __init__(self, whose: str, quota: Quota) -> None:
        what = "model calls" if quota.kind == "requests" else "model tokens"
        super().__init__(
            f"This {whose} has used the {quota.limit:,} {what} of today. "
            "It goes on at midnight, UTC."
        )
        self.quota, self.retry_after = quota, quota.reset


@dataclass(frozen=True, slots=True)
class Budget:
    """The most of a day; 0 for any number."""

    calls: int = 0
    tokens: int = 0


class Budgets:
    """Counts what is used where a budget is set; where none is, nothing is counted.

    Args:
        store: counts it.
        user: of each user.
        tenant: of each tenant.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        store: RedisStore,
        *,
        user: Budget,
        tenant: Budget,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._user, self._tenant, self._clock = store, user, tenant, clock
        self._counts = user != Budget() or tenant != Budget()

    async def check(self, user: User) -> tuple[Quota, ...]:
        """What is left once the turn at hand was called for, where there is a budget.

        Raises:
            BudgetSpentError: nothing is left for a turn.
        """
        if not self._counts:
            return ()
        found = await add_usage(self._store, user, now=self._clock(), calls=0, tokens=0)
        ours = self._left("user", self._user, found[0])
        return (*ours, *self._left("tenant", self._tenant, found[1]))

    async def spend(self, user: User, tokens: int) -> None:
        """Count a turn's call, and its tokens as far as the model tells them."""
        if self._counts:
            await add_usage(self._store, user, now=self._clock(), calls=1, tokens=tokens)

    def _left(self, whose: str, budget: Budget, used: Used) -> Iterator[Quota]:
        reset = timedelta(seconds=_DAY_SECONDS - self._clock() % _DAY_SECONDS)
        calls, tokens = budget.calls - used.calls, budget.tokens - used.tokens
        if budget.calls:
            yield _enough(whose, Quota("requests", budget.calls, calls, reset), taken=1)
        if budget.tokens:
            yield _enough(whose, Quota("tokens", budget.tokens, tokens, reset), taken=0)


def _enough(whose: str, quota: Quota, *, taken: int) -> Quota:
    """The quota once so much is taken of it.

    Raises:
        BudgetSpentError: nothing of it was left.
    """
    if quota.remaining <= 0:
        raise BudgetSpentError(whose, replace(quota, remaining=0))
    return replace(quota, remaining=quota.remaining - taken)
