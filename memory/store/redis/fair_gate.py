"""A limit on concurrent commands, whose waiting places are shared fairly between groups.

redis-py's pool raises an error when all connections are taken. Here commands wait instead. When a
slot becomes free, the groups take turns, so that a user with many requests does not keep
others out.
"""

import asyncio
from collections import deque
from contextvars import ContextVar
from datetime import timedelta

from onionskin.memory.errors import StoreBusyError

_GROUP: ContextVar[str] = ContextVar("redis_group", default="")


def set_group_of_commands(name: str) -> None:
    """Count the commands of the current task, and of tasks that it starts, to a group."""
    _GROUP.set(name)


class FairGate:
    """Admits a limited number of commands at a time.

    Args:
        slots: Most commands at a time.
        longest_wait: Time after which a waiting command is refused.
    """

    def __init__(self, slots: int, longest_wait: timedelta) -> None:
        self._free, self._longest_wait = slots, longest_wait.total_seconds()
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}

    @property
    def waiting(self) -> int:
        """The number of waiting commands."""
        return sum(map(len, self._queues.values()))

    async def enter(self) -> None:
        """Take a slot; `leave` returns it.

        Raises:
            StoreBusyError: There was no slot in time.
        """
        if self._free and not self._queues:
            self._free -= 1
            return
        place = asyncio.get_running_loop().create_future()
        group = _GROUP.get()
        self._queues.setdefault(group, deque()).append(place)
        try:
            async with asyncio.timeout(self._longest_wait):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():  # the slot came together with the end
                self.leave()
            else:
                self._remove(group, place)
            if isinstance(error, TimeoutError):
                raise StoreBusyError from error
            raise

    def leave(self) -> None:
        """Return a slot to the next waiting command: the group that waited longest for its turn."""
        while self._queues:
            group = next(iter(self._queues))
            queue = self._queues.pop(group)
            place = queue.popleft()
            if queue:
                self._queues[group] = queue  # behind the other groups
            if not place.done():
                place.set_result(None)
                return
        self._free += 1

    def _remove(self, group: str, place: asyncio.Future[None]) -> None:
        queue = self._queues.get(group)
        if queue and place in queue:
            queue.remove(place)
            if not queue:
                del self._queues[group]
