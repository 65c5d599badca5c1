"""How much of the model a user and a tenant may use in a day."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from onionskin.memory.errors import OnionskinError
from onionskin.memory.store import RedisStore
from onionskin.memory.store.users import ModelUsage, add_usage
from onionskin.memory.types.messages import User
from onionskin.service.limits.headers import Quota

_DAY_SECONDS = 86_400


class BudgetSpentError(OnionskinError):
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

    async def check(self, user: User) -> tuple[Quota, ...]:
        """What is left once the turn at hand was called for, where there is a budget.

        Raises:
            BudgetSpentError: nothing is left for a turn, and turns are refused then.
        """
        quotas = await self._left(user)
        if self._refuse:
            for whose, quota in quotas:
                _check(whose, quota)
        return tuple(_less_this_turn(quota) for _, quota in quotas)

    async def allow(self, user: User) -> bool:
        """Whether something is left for a call of the model that no turn waits for."""
        return all(quota.remaining > 0 for _, quota in await self._left(user))

    async def spend(self, user: User, tokens: int, turn_id: str = "") -> None:
        """Count a call, and its tokens as far as the model tells them; that of a turn but once."""
        if self.counts:
            now = self._clock()
            await add_usage(self._store, user, now=now, calls=1, tokens=tokens, once=turn_id)

    async def _left(self, user: User) -> list[tuple[str, Quota]]:
        """What is left of today, and whose it is."""
        if not self.counts:
            return []
        now = self._clock()
        ours, theirs = await add_usage(self._store, user, now=now, calls=0, tokens=0)
        reset = timedelta(seconds=_DAY_SECONDS - now % _DAY_SECONDS)
        users, tenants = _quotas(self._user, ours, reset), _quotas(self._tenant, theirs, reset)
        return [*(("user", one) for one in users), *(("tenant", one) for one in tenants)]


def _quotas(budget: Budget, used: ModelUsage, reset: timedelta) -> Iterator[Quota]:
    if budget.calls:
        yield Quota("requests", budget.calls, max(0, budget.calls - used.calls), reset)
    if budget.tokens:
        yield Quota("tokens", budget.tokens, max(0, budget.tokens - used.tokens), reset)


def _check(whose: str, quota: Quota) -> None:
    if quota.remaining <= 0:
        raise BudgetSpentError(whose, quota)


def _less_this_turn(quota: Quota) -> Quota:
    taken = 1 if quota.kind == "requests" else 0
    return replace(quota, remaining=max(0, quota.remaining - taken))
