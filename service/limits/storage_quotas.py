"""How much a user and a tenant may store."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from onionskin.memory.errors import OnionskinError
from onionskin.memory.store import RedisStore
from onionskin.memory.store.users import StorageUsage, tenant_storage, user_storage
from onionskin.memory.types.messages import User

_COUNTED_EVERY_SECONDS = 60.0


class StorageQuotaExceededError(OnionskinError):
    """As much is stored as may be."""

    code = "room_full"

    def __init__(self, whose: str, what: str, most: int) -> None:
        super().__init__(
            f"This {whose} may store {most:,} {what}, and has. Delete sessions or memories first."
        )


@dataclass(frozen=True, slots=True)
class _Counted:
    at: float
    room: StorageUsage


class StorageQuota:
    """Looks before something is stored, where a bound is set. A tenant is counted now and then.

    Args:
        store: what is counted.
        user, tenant: the most of each; 0 for any number.
        clock: seconds that only go forward.
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
        self._tenants: dict[str, _Counted] = {}

    async def check(self, user: User) -> None:
        """Raise RoomFullError if nothing more may be stored."""
        if self._user != StorageUsage():
            _check("user", self._user, await user_storage(self._store, user))
        if self._tenant != StorageUsage():
            _check("tenant", self._tenant, await self._tenant_room(user.tenant))

    async def _tenant_room(self, tenant: str) -> StorageUsage:
        known, now = self._tenants.get(tenant), self._clock()
        if known is None or now - known.at > _COUNTED_EVERY_SECONDS:
            known = _Counted(now, await tenant_storage(self._store, tenant))
            self._tenants[tenant] = known
        return known.room


def _check(whose: str, most: StorageUsage, room: StorageUsage) -> None:
    if most.bytes and room.bytes >= most.bytes:
        raise StorageQuotaExceededError(whose, "bytes", most.bytes)
    if most.memories and room.memories >= most.memories:
        raise StorageQuotaExceededError(whose, "memories", most.memories)
