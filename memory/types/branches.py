"""Which messages of a session are live, and which were abandoned.

A session is a tree of messages in a list that only grows. Its live messages are one path
through the
tree: what the conversation is now. An edit, a regeneration or the retry of an unanswered message
begins a new branch, and abandons the messages after the place where it begins.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The positions of the abandoned messages of a session.

    Attributes:
        ranges: First position and end of each range, sorted; the end is excluded.
    """

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Abandoned":
        """The positions in the form of a session's field: `2-4 8-9`."""
        if not text:
            return NONE_ABANDONED
        pairs = (part.partition("-") for part in text.split())
        return cls(tuple((int(first), int(end)) for first, _, end in pairs))

    def __str__(self) -> str:
        return " ".join(f"{first}-{end}" for first, end in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __contains__(self, position: int) -> bool:
        return any(first <= position < end for first, end in self.ranges)

    def live(self, start: int, end: int) -> Iterator[range]:
        """The live positions from `start` to `end`, which is excluded, as ranges."""
        for first, upto in self.ranges:
            if first >= end:
                break
            if first > start:
                yield range(start, first)
            start = max(start, upto)
        if start < end:
            yield range(start, end)

    def count_live(self, start: int, end: int) -> int:
        """The number of live positions from `start` to `end`, which is excluded."""
        if not self.ranges:
            return max(0, end - start)
        return sum(map(len, self.live(start, end)))


NONE_ABANDONED = Abandoned()
