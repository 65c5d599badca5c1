"""Storage quotas of users and tenants."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from onionskin.memory.errors import OnionskinError
from onionskin.memory.store import RedisStore, StorageUsage
from onionskin.memory.types.messages import User

_CACHE_SECONDS = 60.0


class StorageQuotaExceededError(OnionskinError):
    """The storage quota is reached."""

    code = "room_full"

    def __init__(self, whose: str, what: str, limit: int) -> None:
        super().__init__(
            f"This {whose} has reached its quota of {limit:,} {what}. "
            "Delete sessions or memories first."
        )


@dataclass(frozen=True, slots=True)
class _CountedUsage:
    at: float
    usage: StorageUsage


class StorageQuota:
    """Checks usage before something is stored; the usage of a tenant is cached for a minute.

    Args:
        store: Holds the data that are counted.
        user: Limits of each user; 0 for no limit.
        tenant: Limits of each tenant; 0 for no limit.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        store: RedisStore,
        *,
        user: StorageUsage,
        tenant: StorageUsage,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._user, self._tenant, self._clock = store, user, tenant, clock
        self._limits_users = user != StorageUsage()
        self._limits_tenants = tenant != StorageUsage()
        self._tenants: dict[str, _CountedUsage] = {}

    async def check(self, user: User) -> None:
        """Raise StorageQuotaExceededError if a quota is reached."""
        if self._limits_users:
            _check("user", self._user, await self._store.users.storage(user))
        if self._limits_tenants:
            _check("tenant", self._tenant, await self._tenant_usage(user.tenant))

    async def _tenant_usage(self, tenant: str) -> StorageUsage:
        counted, now = self._tenants.get(tenant), self._clock()
        if counted is None or now - counted.at > _CACHE_SECONDS:
            counted = _CountedUsage(now, await self._store.users.tenant_storage(tenant))
            self._tenants[tenant] = counted
        return counted.usage


def _check(whose: str, limits: StorageUsage, usage: StorageUsage) -> None:
    if limits.bytes and usage.bytes >= limits.bytes:
        raise StorageQuotaExceededError(whose, "bytes", limits.bytes)
    if limits.memories and usage.memories >= limits.memories:
        raise StorageQuotaExceededError(whose, "memories", limits.memories)
