"""Daily budgets of users and tenants: model calls and tokens."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from onionskin.memory.errors import OnionskinError
from onionskin.memory.store import ModelUsage, RedisStore
from onionskin.memory.types.messages import User
from onionskin.service.limits.headers import Quota

_DAY_SECONDS = 86_400


class BudgetSpentError(OnionskinError):
    """The budget of the day is spent.

    Attributes:
        quota: The quota, with nothing left.
        retry_after: Time until the next day, UTC.
    """

    code = "budget_spent"

    def __init__(self, whose: str, quota: Quota) -> None:
        what = "model calls" if quota.kind == "requests" else "model tokens"
        super().__init__(
            f"This {whose} has used the {quota.limit:,} {what} of today. "
            "The budget is renewed at midnight, UTC."
        )
        self.quota, self.retry_after = quota, quota.reset


@dataclass(frozen=True, slots=True)
class Budget:
    """Most calls and tokens of a day; 0 for no limit."""

    calls: int = 0
    tokens: int = 0


class Budgets:
    """Checks and counts usage; without a budget nothing is counted.

    Args:
        store: Holds the counts.
        user: Budget of each user.
        tenant: Budget of each tenant.
        refuse: Whether turns over budget are refused. If not, they are answered, and only
            extraction stops.
        clock: Seconds since the epoch.

    Attributes:
        counts: Whether any budget is set.
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
        """The quotas that are left after the current turn, where there is a budget.

        Raises:
            BudgetSpentError: A budget is spent, and turns are refused then.
        """
        if not self.counts:
            return ()
        quotas = await self._left(user)
        if self._refuse:
            for whose, quota in quotas:
                _check(whose, quota)
        return tuple(_after_turn(quota) for _, quota in quotas)

    async def allow(self, user: User) -> bool:
        """Whether the budget allows a model call in the background."""
        return all(quota.remaining > 0 for _, quota in await self._left(user))

    async def spend(self, user: User, tokens: int, turn_id: str = "") -> None:
        """Count a call and its tokens; a call with a turn id is counted once."""
        if self.counts:
            now = self._clock()
            await self._store.users.add_usage(user, now=now, calls=1, tokens=tokens, once=turn_id)

    async def _left(self, user: User) -> list[tuple[str, Quota]]:
        """The quotas of today, each with `user` or `tenant`."""
        if not self.counts:
            return []
        now = self._clock()
        user_usage, tenant_usage = await self._store.users.add_usage(
            user, now=now, calls=0, tokens=0
        )
        reset = timedelta(seconds=_DAY_SECONDS - now % _DAY_SECONDS)
        return [
            *(("user", quota) for quota in _quotas(self._user, user_usage, reset)),
            *(("tenant", quota) for quota in _quotas(self._tenant, tenant_usage, reset)),
        ]


def _quotas(budget: Budget, used: ModelUsage, reset: timedelta) -> Iterator[Quota]:
    if budget.calls:
        yield Quota("requests", budget.calls, max(0, budget.calls - used.calls), reset)
    if budget.tokens:
        yield Quota("tokens", budget.tokens, max(0, budget.tokens - used.tokens), reset)


def _check(whose: str, quota: Quota) -> None:
    if quota.remaining <= 0:
        raise BudgetSpentError(whose, quota)


def _after_turn(quota: Quota) -> Quota:
    used = 1 if quota.kind == "requests" else 0
    return replace(quota, remaining=max(0, quota.remaining - used))
