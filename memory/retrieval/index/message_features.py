"""Numeric features of the messages, by row; computed when a message is added."""

import re
from collections.abc import Sequence
from datetime import date
from math import log1p

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.growable_array import GrowableArray, Number
from onionskin.memory.retrieval.language.analyzer import FIRST, NUMBER, SECOND, TIME, Language
from onionskin.memory.retrieval.language.dates import offsets
from onionskin.memory.time_zones import local_day
from onionskin.memory.types.messages import Entry

_CAPTION = re.compile(r"\s*\[[^\]]*\]\s*$")  # of a picture, for example
_DIGIT = re.compile(r"\d")
_NAME = re.compile(r"(?<=[a-zß-ÿ,] )[A-ZÀ-Þ][a-zß-ÿ]+")
_MAX_NAMES, _MAX_TIMES = 3, 2
_NONE = -1
_DAY_SECONDS = 86_400
_COLUMNS = _SESSION, _AUTHOR, _DAY, _DAYS_AGO, _SLACK = range(5)

FORM = ("length", "question", "names", "number", "times", "position", "first", "second")
"""The columns of `MessageFeatures.form`: the logarithm of the number of terms, whether the message
ends in a question mark, capitalised words within a sentence, whether it contains a number, words of
time, the logarithm of its position in the session, and the shares of first- and second-person
words."""


class MessageFeatures:
    """One row per message, in the order of arrival.

    Args:
        language: Word lists of the messages' language.
    """

    def __init__(self, language: Language) -> None:
        self._language = language
        self._previous, self._next = GrowableArray(np.int64), GrowableArray(np.int64)
        self._columns = GrowableArray(np.int32, len(_COLUMNS))
        self._form = GrowableArray(np.float32, len(FORM))
        self._seconds = GrowableArray(np.int32)
        self._terms, self._ends = GrowableArray(np.uint32), GrowableArray(np.int64)
        self._words, self._word_ends = GrowableArray(np.uint16), GrowableArray(np.int64)
        self._newest: dict[str, int] = {}
        self._sessions: dict[str, int] = {}
        self._newest_day = 1
        self._deleted = GrowableArray(np.int64)
        self.authors: dict[str, int] = {}
        self._ends.append(0)
        self._word_ends.append(0)

    def __len__(self) -> int:
        return len(self._columns)

    def add(
        self,
        entry: Entry,
        words: Sequence[str],
        terms: Sequence[int],
        ids: Sequence[int],
        *,
        passage: int | None = None,
    ) -> None:
        """Append a message, or a passage of one.

        Args:
            entry: The message.
            words: Its words, in order.
            terms: Its distinct term ids.
            ids: The ids of its words' pieces.
            passage: Number of the passage of a message that has a row of its own: it follows the
                passage before, and is no neighbour of other messages. None for any other row.
        """
        message = entry.message
        self._link(entry.session_id, passage)
        session = self._sessions.setdefault(entry.session_id, len(self._sessions))
        author = self.authors.setdefault((message.author or "").casefold(), len(self.authors))
        day, content = local_day(message.at, message.utc_offset), message.content
        has_offset = message.utc_offset is not None
        self._seconds.append(_NONE if has_offset else int(message.at % _DAY_SECONDS))
        self._newest_day = max(self._newest_day, day.toordinal())
        body = _CAPTION.sub("", content) if "[" in content else content.rstrip()
        kinds = self._language.kinds
        word_kinds = [kinds[word] for word in words if word in kinds]
        times = sum(kind & TIME != 0 for kind in word_kinds)
        smoothed = len(words) + 3
        events = offsets(content.casefold(), day, self._language) if times else []
        event = (events[0].days, events[0].slack) if events else (_NONE, 0)
        self._columns.append((session, author, day.toordinal(), *event))
        self._form.append(
            (
                log1p(len(terms)),
                body.endswith(("?", "\uff1f")),  # the full-width question mark
                min(len(_NAME.findall(body)), _MAX_NAMES),
                _DIGIT.search(body) is not None or any(kind & NUMBER for kind in word_kinds),
                min(times, _MAX_TIMES),
                log1p(entry.position),
                sum(kind & FIRST != 0 for kind in word_kinds) / smoothed,
                sum(kind & SECOND != 0 for kind in word_kinds) / smoothed,
            )
        )
        self._terms.extend(terms)
        self._ends.append(len(self._terms))
        self._words.extend(list(dict.fromkeys(ids)))
        self._word_ends.append(len(self._words))

    def _link(self, session_id: str, passage: int | None) -> None:
        """Give the next row its place in the order of its session."""
        row = len(self)
        previous = self._newest.get(session_id, _NONE)
        if passage is not None:
            previous = row - 1 if passage else self._previous.item(previous)
        self._previous.append(previous)
        self._next.append(_NONE)
        if passage is None:
            self._newest[session_id] = row
        if previous != _NONE and passage != 0:
            self._next[previous] = row

    def mark_deleted(self, row: int) -> None:
        """Mark a row as deleted; rows are never moved."""
        self._deleted.append(row)

    def unlink(self, row: int) -> None:
        """Remove a deleted row from the order of its session."""
        before, after = self._previous.item(row), self._next.item(row)
        if before != _NONE:
            self._next[before] = after
        if after != _NONE:
            self._previous[after] = before
            return
        session_id = next((name for name, newest in self._newest.items() if newest == row), None)
        if session_id is not None:
            if before == _NONE:
                del self._newest[session_id]
            else:
                self._newest[session_id] = before

    @property
    def deleted(self) -> NDArray[np.int64]:
        """The deleted rows."""
        return self._deleted.values

    @property
    def size_bytes(self) -> int:
        """Memory of all columns."""
        columns = (self._previous, self._next, self._columns, self._form, self._deleted)
        flat = (self._terms, self._ends, self._words, self._word_ends, self._seconds)
        return sum(column.size_bytes for column in (*columns, *flat))

    @property
    def has_speakers(self) -> bool:
        """Whether messages carry the names of at least two authors."""
        return len(self.authors) - ("" in self.authors) > 1

    @property
    def newest_day(self) -> date:
        """The day of the newest message."""
        return date.fromordinal(self._newest_day)

    def kernel_arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """The arrays that the kernel reads of every message.

        Returns:
            The row before and the row after each in its session, `(n,)`, -1 where there is none;
            and its form, `(n, len(FORM))`.
        """
        return self._previous.values, self._next.values, self._form.values

    def step(self, rows: NDArray[np.intp], by: int) -> NDArray[np.intp]:
        """The rows `by` messages after (negative: before) in the same session; -1 where none is."""
        column = self._next if by > 0 else self._previous
        for _ in range(abs(by)):
            moved = column.values[rows]
            rows = np.where(rows >= 0, moved, _NONE).astype(np.intp)
        return rows

    def following(self, row: int) -> int:
        """The next row in the same session, -1 where there is none."""
        return self._next.item(row)

    def windows(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """The rows at offsets -2 to 2 in the same session, `(5, m)`; -1 where there is none."""
        windows = np.empty((5, len(rows)), np.intp)
        windows[2] = rows
        for column, places in ((self._previous, (1, 0)), (self._next, (3, 4))):
            moved = rows
            for place in places:
                moved = np.where(moved >= 0, column.values[moved], _NONE)
                windows[place] = moved
        return windows

    def around(self, row: int, count: int) -> list[int]:
        """Up to `count` rows before and after a row in the same session, ascending."""
        rows: list[int] = []
        for column in (self._previous, self._next):
            place = row
            for _ in range(count):
                place = column.item(place)
                if place == _NONE:
                    break
                rows.append(place)
        return sorted(rows)

    def form(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """The form of messages, `(m, len(FORM))`."""
        return self._form.values[rows]

    def days(self, rows: NDArray[np.intp], offset: int = 0) -> NDArray[np.int32]:
        """The day of each message, by its own clock.

        Args:
            rows: The messages.
            offset: Seconds from UTC for messages whose clock is unknown.
        """
        days = self._columns.values[rows, _DAY]
        if not offset:
            return days
        seconds = self._seconds.values[rows]
        shifted = (seconds + offset) // _DAY_SECONDS
        return (days + np.where(seconds == _NONE, 0, shifted)).astype(np.int32)

    def events(
        self, rows: NDArray[np.intp], days: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The day of the event that each message mentions, 0 for none; and its slack in days.

        Args:
            rows: The messages.
            days: Their days.
        """
        days_ago, slack = self._columns.values[rows, _DAYS_AGO:].T
        return np.where(days_ago == _NONE, 0, days - days_ago).astype(np.int32), slack

    def sessions(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """The number of each message's session."""
        return self._columns.values[rows, _SESSION]

    def spoken_by(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """The number of each message's author; see `authors`."""
        return self._columns.values[rows, _AUTHOR]

    def terms(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
        """The distinct term ids of the rows, row by row, and where each row starts."""
        return _slices(self._terms.values, self._ends.values, rows)

    def words(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint16], NDArray[np.intp]]:
        """The distinct piece ids of the rows, row by row, and where each row starts."""
        return _slices(self._words.values, self._word_ends.values, rows)


def _slices(
    flat: NDArray[Number], ends: NDArray[np.int64], rows: NDArray[np.intp]
) -> tuple[NDArray[Number], NDArray[np.intp]]:
    first = ends[rows]
    sizes = ends[rows + 1] - first
    starts = np.cumsum(sizes) - sizes
    within = np.arange(int(sizes.sum())) - np.repeat(starts, sizes)
    return flat[np.repeat(first, sizes) + within], starts.astype(np.intp)
