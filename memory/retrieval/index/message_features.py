"""What recall keeps of each message besides its postings and vector: numbers, by row."""

import re
from collections.abc import Sequence
from datetime import date
from math import log1p

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.growable_array import GrowableArray, Number
from onionskin.memory.retrieval.language.analyzer import FIRST, NUMBER, SECOND, TIME, Language
from onionskin.memory.retrieval.language.dates import day_of, offsets
from onionskin.memory.types.messages import Entry

_NOTE = re.compile(r"\s*\[[^\]]*\]\s*$")  # a picture's caption, say
_DIGIT = re.compile(r"\d")
_NAME = re.compile(r"(?<=[a-zß-ÿ,] )[A-ZÀ-Þ][a-zß-ÿ]+")
_MOST_NAMES, _MOST_TIMES = 3, 2
_NONE = -1
_FACTS = _SESSION, _AUTHOR, _DAY, _DAYS_AGO, _SLACK = range(5)  # columns of what is known of each

FORM = ("length", "question", "names", "number", "times", "position", "first", "second")
"""The columns of `Rows.form`: the logarithm of the number of terms, whether it ends in a question
mark, capitalised words within a sentence, whether a number is in it, words of time, the logarithm
of its position in the session, and the shares of words of the first and of the second person."""


class MessageFeatures:
    """One row per message, in the order of arrival; see `FORM` for what is kept of its form."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._previous, self._next = GrowableArray(np.int64), GrowableArray(np.int64)
        self._facts = GrowableArray(np.int32, len(_FACTS))
        self._form = GrowableArray(np.float32, len(FORM))
        self._terms, self._ends = GrowableArray(np.uint32), GrowableArray(np.int64)
        self._words, self._word_ends = GrowableArray(np.uint16), GrowableArray(np.int64)
        self._newest: dict[str, int] = {}
        self._sessions: dict[str, int] = {}
        self._newest_day = 1
        self._dead = GrowableArray(np.int64)
        self.authors: dict[str, int] = {}
        self._ends.append(0)
        self._word_ends.append(0)

    def __len__(self) -> int:
        return len(self._facts)

    def add(
        self, entry: Entry, words: Sequence[str], terms: Sequence[int], ids: Sequence[int]
    ) -> None:
        """Append a message: its words, its distinct term ids, and its words' piece ids."""
        row, message = len(self), entry.message
        before = self._newest.get(entry.session_id, _NONE)
        self._previous.append(before)
        self._next.append(_NONE)
        if before != _NONE:
            self._next[before] = row
        self._newest[entry.session_id] = row
        session = self._sessions.setdefault(entry.session_id, len(self._sessions))
        author = self.authors.setdefault((message.author or "").casefold(), len(self.authors))
        said, content = day_of(message.at), message.content
        self._newest_day = max(self._newest_day, said.toordinal())
        body = _NOTE.sub("", content) if "[" in content else content.rstrip()
        kinds = self._language.kinds
        marks = [kinds[word] for word in words if word in kinds]
        times, few = sum(mark & TIME != 0 for mark in marks), len(words) + 3
        told = offsets(content.casefold(), said, self._language) if times else []
        event = (told[0].days, told[0].slack) if told else (_NONE, 0)
        self._facts.append((session, author, said.toordinal(), *event))
        self._form.append(
            (
                log1p(len(terms)),
                body.endswith(("?", "\uff1f")),  # the full-width question mark
                min(len(_NAME.findall(body)), _MOST_NAMES),
                _DIGIT.search(body) is not None or any(mark & NUMBER for mark in marks),
                min(times, _MOST_TIMES),
                log1p(entry.position),
                sum(mark & FIRST != 0 for mark in marks) / few,
                sum(mark & SECOND != 0 for mark in marks) / few,
            )
        )
        self._terms.extend(terms)
        self._ends.append(len(self._terms))
        self._words.extend(list(dict.fromkeys(ids)))
        self._word_ends.append(len(self._words))

    def mark_deleted(self, row: int) -> None:
        """Note that a row was deleted; it stays where it is."""
        self._dead.append(row)

    @property
    def dead(self) -> NDArray[np.int64]:
        """The rows that were deleted."""
        return self._dead.values

    @property
    def size_bytes(self) -> int:
        """What the columns take."""
        columns = (self._previous, self._next, self._facts, self._form, self._dead)
        flat = (self._terms, self._ends, self._words, self._word_ends)
        return sum(column.size_bytes for column in (*columns, *flat))

    @property
    def has_speakers(self) -> bool:
        """Whether messages bear the names of at least two authors."""
        return len(self.authors) - ("" in self.authors) > 1

    @property
    def newest_day(self) -> date:
        """The latest day on which something was said."""
        return date.fromordinal(self._newest_day)

    @property
    def previous(self) -> NDArray[np.int64]:
        """`(n,)`: the row before each in its session, -1 where there is none."""
        return self._previous.values

    @property
    def next(self) -> NDArray[np.int64]:
        """`(n,)`: the row after each in its session, -1 where there is none."""
        return self._next.values

    @property
    def forms(self) -> NDArray[np.float32]:
        """`(n, len(FORM))`."""
        return self._form.values

    def step(self, rows: NDArray[np.intp], by: int) -> NDArray[np.intp]:
        """The rows `by` messages on (or back) in the same session, -1 where there is none."""
        column = self._next if by > 0 else self._previous
        for _ in range(abs(by)):
            moved = column.values[rows]
            rows = np.where(rows >= 0, moved, _NONE).astype(np.intp)
        return rows

    def following(self, row: int) -> int:
        """The next row in the same session, -1 where there is none."""
        return self._next.item(row)

    def near(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """`(5, m)`: the rows two and one back, the rows themselves, those one and two on."""
        near = np.empty((5, len(rows)), np.intp)
        near[2] = rows
        for column, places in ((self._previous, (1, 0)), (self._next, (3, 4))):
            moved = rows
            for place in places:
                moved = np.where(moved >= 0, column.values[moved], _NONE)
                near[place] = moved
        return near

    def around(self, row: int, count: int) -> list[int]:
        """Up to `count` rows before and after one in the same session, ascending."""
        found: list[int] = []
        for column in (self._previous, self._next):
            place = row
            for _ in range(count):
                place = column.item(place)
                if place == _NONE:
                    break
                found.append(place)
        return sorted(found)

    def form(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """`(m, len(FORM))`."""
        return self._form.values[rows]

    def days(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """The day on which each was said."""
        return self._facts.values[rows, _DAY]

    def events(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The day of what each tells of, and its slack; 0 where it names none."""
        day, days_ago, slack = self._facts.values[rows, _DAY:].T
        return np.where(days_ago == _NONE, 0, day - days_ago).astype(np.int32), slack

    def sessions(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """The session of each, by number."""
        return self._facts.values[rows, _SESSION]

    def spoken_by(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """The author of each, by number; see `authors`."""
        return self._facts.values[rows, _AUTHOR]

    def terms(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
        """The distinct term ids of all the rows, one after the other, and where each begins."""
        return _slices(self._terms.values, self._ends.values, rows)

    def words(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint16], NDArray[np.intp]]:
        """The distinct piece ids of all the rows, one after the other, and where each begins."""
        return _slices(self._words.values, self._word_ends.values, rows)


def _slices(
    flat: NDArray[Number], ends: NDArray[np.int64], rows: NDArray[np.intp]
) -> tuple[NDArray[Number], NDArray[np.intp]]:
    first = ends[rows]
    sizes = ends[rows + 1] - first
    starts = np.cumsum(sizes) - sizes
    within = np.arange(int(sizes.sum())) - np.repeat(starts, sizes)
    return flat[np.repeat(first, sizes) + within], starts.astype(np.intp)
