"""How much a user and a tenant may store."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from onionskin.memory.errors import OnionskinError
from onionskin.memory.store import RedisStore
from onionskin.memory.store.users import Room, tenant_room, user_room
from onionskin.memory.types.messages import User

_COUNTED_EVERY_SECONDS = 60.0


class RoomFullError(OnionskinError):
    """As much is stored as may be."""

    code = "room_full"

    def __init__(self, whose: str, what: str, most: int) -> None:
        super().__init__(
            f"This {whose} may store {most:,} {what}, and has. Delete sessions or memories first."
        )


@dataclass(frozen=True, slots=True)
class _Counted:
    at: float
    room: Room


class Rooms:
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
        user: Room,
        tenant: Room,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._user, self._tenant, self._clock = store, user, tenant, clock
        self._tenants: dict[str, _Counted] = {}

    async def admit(self, user: User) -> None:
        """Raise RoomFullError if nothing more may be stored."""
        if self._user != Room():
            _check("user", self._user, await user_room(self._store, user))
        if self._tenant != Room():
            _check("tenant", self._tenant, await self._tenant_room(user.tenant))

    async def _tenant_room(self, tenant: str) -> Room:
        known, now = self._tenants.get(tenant), self._clock()
        if known is None or now - known.at > _COUNTED_EVERY_SECONDS:
            known = _Counted(now, await tenant_room(self._store, tenant))
            self._tenants[tenant] = known
        return known.room


def _check(whose: str, most: Room, room: Room) -> None:
    if most.bytes and room.bytes >= most.bytes:
        raise RoomFullError(whose, "bytes", most.bytes)
    if most.memories and room.memories >= most.memories:
        raise RoomFullError(whose, "memories", most.memories)
