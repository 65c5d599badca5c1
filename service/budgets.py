"""How much of the model a user and a tenant may use in a day."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from memory.errors import StrataError
from memory.store import RedisStore
from memory.store.usage import Used, add_usage
from memory.types import User

_DAY_SECONDS = 86_400


class BudgetSpentError(StrataError):
    """The day's budget is spent.

    Attributes:
        retry_after: when the next day begins.
    """

    code = "budget_spent"

    def __init__(self, whose: str, what: str, most: int, retry_after: timedelta) -> None:
        super().__init__(
            f"This {whose} has used the {most:,} {what} of today. It goes on at midnight, UTC."
        )
        self.retry_after = retry_after


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
        refuse: whether turns are refused once a budget is spent; if not, they are answered, and
            only what is not their answer is left undone.
        clock: seconds since the epoch.

    Attributes:
        counts: whether any budget is set.
    """

    def __init__(
        self,
        store: RedisStore,
        *,
        user: Budget,
        tenant: Budget,
        refuse: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._user, self._tenant, self._clock = store, user, tenant, clock
        self._refuse = refuse
        self.counts = user != Budget() or tenant != Budget()

    async def check(self, user: User) -> None:
        """Raise BudgetSpentError if nothing is left for a turn, and turns are refused then."""
        if self._refuse:
            await self._check(user)

    async def allow(self, user: User) -> bool:
        """Whether something is left for a call of the model that no turn waits for."""
        try:
            await self._check(user)
        except BudgetSpentError:
            return False
        return True

    async def _check(self, user: User) -> None:
        if self.counts:
            found = await add_usage(self._store, user, now=self._clock(), calls=0, tokens=0)
            self._check_one("user", self._user, found[0])
            self._check_one("tenant", self._tenant, found[1])

    async def spend(self, user: User, tokens: int, turn_id: str = "") -> None:
        """Count a call, and its tokens as far as the model tells them; that of a turn but once."""
        if self.counts:
            now = self._clock()
            await add_usage(self._store, user, now=now, calls=1, tokens=tokens, once=turn_id)

    def _check_one(self, whose: str, budget: Budget, used: Used) -> None:
        left = timedelta(seconds=_DAY_SECONDS - self._clock() % _DAY_SECONDS)
        if budget.calls and used.calls >= budget.calls:
            raise BudgetSpentError(whose, "model calls", budget.calls, left)
        if budget.tokens and used.tokens >= budget.tokens:
            raise BudgetSpentError(whose, "model tokens", budget.tokens, left)
