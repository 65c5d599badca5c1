"""Quarantine: stored texts that read like instructions are kept and listed, but shown to no model.

Whoever may change the user's memories can release one. The session at hand is a conversation, not a
memory: its window shows what was said.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from memory.suspicion import is_suspicious
from memory.types import Entry, User


class Quarantine:
    """What is held of one user's messages and records.

    Args:
        suspects: which texts are held; by default none.
    """

    def __init__(self, suspects: Callable[[str], bool] | None = None) -> None:
        self._suspects = suspects
        self._suspicious: dict[str, Entry] = {}
        self._released: set[str] = set()
        self.held: frozenset[str] = frozenset()

    @property
    def entries(self) -> list[Entry]:
        """What is held, the latest first."""
        held = [one for one in self._suspicious.values() if one.id in self.held]
        return sorted(held, key=lambda one: -one.message.at)

    def look_at(self, entries: Sequence[Entry]) -> None:
        """Messages or records came, or came again."""
        if self._suspects is None:
            return
        found = {one.id: one for one in entries if self._suspects(one.message.spoken)}
        if found:
            self._suspicious |= found
            self._settle()

    def release(self, *ids: str) -> None:
        """Hold these no longer: ids of messages, or of records whatever their revision."""
        self._released.update(ids)
        self._settle()

    def drop(self, session_id: str) -> None:
        """A session, or a record, is gone."""
        gone = [one.id for one in self._suspicious.values() if one.session_id == session_id]
        for each in gone:
            del self._suspicious[each]
        if gone:
            self._settle()

    def _settle(self) -> None:
        self.held = frozenset(
            one.id
            for one in self._suspicious.values()
            if one.id not in self._released and one.session_id not in self._released
        )


Held: TypeAlias = Callable[[User], Awaitable[frozenset[str]]]
"""Tells the ids of what is held back of a user."""


async def nothing_held(_user: User) -> frozenset[str]:
    """Where there is no quarantine."""
    return frozenset()


def shown_of(entries: tuple[Entry, ...], held: frozenset[str]) -> tuple[Entry, ...]:
    """Those that are not held."""
    return tuple(one for one in entries if one.id not in held) if held else entries


def make_quarantine(*, on: bool) -> Quarantine:
    """For a user: an empty one that holds what reads like instructions, or holds nothing."""
    return Quarantine(is_suspicious if on else None)
