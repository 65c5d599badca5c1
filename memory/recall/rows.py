"""What recall keeps of each message besides its postings and vector: numbers, by row."""

import re
from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from memory.recall.column import Column, Number
from memory.recall.dates import day_of, offsets
from memory.recall.language import Language
from memory.types import Entry

_NOTE = re.compile(r"\s*\[[^\]]*\]\s*$")  # a picture's caption, say
_NAME = re.compile(r"(?<=[a-zß-ÿ,] )[A-ZÀ-Þ][a-zß-ÿ]+")
_MOST_NAMES, _MOST_TIMES = 3, 2
_NONE = -1

FORM = ("length", "question", "names", "number", "times", "position", "first", "second")
"""The columns of `Rows.form`: the logarithm of the number of terms, whether it ends in a question
mark, capitalised words within a sentence, whether a number is in it, words of time, the logarithm
of its position in the session, and the shares of words of the first and of the second person."""


class Rows:
    """One row per message, in the order of arrival; see `FORM` for what is kept of its form."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._previous, self._next = Column(np.int64), Column(np.int64)
        self._session, self._author = Column(np.int32), Column(np.int32)
        self._day, self._event = Column(np.int32), Column(np.int32, 2)
        self._form = Column(np.float32, len(FORM))
        self._terms, self._ends = Column(np.uint32), Column(np.int64)
        self._words, self._word_ends = Column(np.uint16), Column(np.int64)
        self._newest: dict[str, int] = {}
        self._sessions: dict[str, int] = {}
        self._newest_day = 1
        self.authors: dict[str, int] = {}
        self._ends.append(0)
        self._word_ends.append(0)

    def __len__(self) -> int:
        return len(self._day)

    def add(
        self, entry: Entry, words: Sequence[str], terms: Sequence[int], ids: Sequence[int]
    ) -> None:
        """Append a message: its words, its distinct term ids, and its words' ids."""
        row, message = len(self), entry.message
        before = self._newest.get(entry.session_id, _NONE)
        self._previous.append(before)
        self._next.append(_NONE)
        if before != _NONE:
            self._next[before] = row
        self._newest[entry.session_id] = row
        self._session.append(self._sessions.setdefault(entry.session_id, len(self._sessions)))
        author = message.author or ""
        self._author.append(self.authors.setdefault(author.casefold(), len(self.authors)))
        said = day_of(message.at)
        self._day.append(said.toordinal())
        self._newest_day = max(self._newest_day, said.toordinal())
        body, folded = _NOTE.sub("", message.content), message.content.casefold()
        times = sum(word in self._language.time_words for word in words)
        told = offsets(folded, said, self._language) if times else []
        self._event.append((told[0].days, told[0].slack) if told else (_NONE, 0))
        numbers, few = self._language.numbers, len(words) + 3
        self._form.append(
            (
                np.log1p(len(terms)),
                body.endswith(("?", "\uff1f")),  # the full-width question mark
                min(len(_NAME.findall(body)), _MOST_NAMES),
                any(map(str.isdigit, body)) or any(word in numbers for word in words),
                min(times, _MOST_TIMES),
                np.log1p(entry.position),
                sum(word in self._language.first_person for word in words) / few,
                sum(word in self._language.second_person for word in words) / few,
            )
        )
        self._terms.extend(terms)
        self._ends.append(len(self._terms))
        self._words.extend(ids)
        self._word_ends.append(len(self._words))

    @property
    def has_speakers(self) -> bool:
        """Whether messages bear the names of at least two authors."""
        return len(self.authors) - ("" in self.authors) > 1

    @property
    def newest_day(self) -> date:
        """The latest day on which something was said."""
        return date.fromordinal(self._newest_day)

    def step(self, rows: NDArray[np.intp], by: int) -> NDArray[np.intp]:
        """The rows `by` messages on (or back) in the same session, -1 where there is none."""
        column = self._next if by > 0 else self._previous
        for _ in range(abs(by)):
            moved = column.values[rows]
            rows = np.where(rows >= 0, moved, _NONE).astype(np.intp)
        return rows

    def form(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """`(m, len(FORM))`."""
        return self._form.values[rows]

    def days(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """The day on which each was said."""
        return self._day.values[rows]

    def events(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The day of what each tells of, and its slack; 0 where it names none."""
        event = self._event.values[rows]
        days = np.where(event[:, 0] == _NONE, 0, self.days(rows) - event[:, 0])
        return days.astype(np.int32), event[:, 1]

    def sessions(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """The session of each, by number."""
        return self._session.values[rows]

    def spoken_by(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """The author of each, by number; see `authors`."""
        return self._author.values[rows]

    def terms(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
        """The distinct term ids of all the rows, one after the other, and where each begins."""
        return _slices(self._terms.values, self._ends.values, rows)

    def words(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint16], NDArray[np.intp]]:
        """The word ids of all the rows, one after the other, and where each begins."""
        return _slices(self._words.values, self._word_ends.values, rows)


def _slices(
    flat: NDArray[Number], ends: NDArray[np.int64], rows: NDArray[np.intp]
) -> tuple[NDArray[Number], NDArray[np.intp]]:
    first = ends[rows]
    sizes = ends[rows + 1] - first
    starts = np.cumsum(sizes) - sizes
    within = np.arange(int(sizes.sum())) - np.repeat(starts, sizes)
    return flat[np.repeat(first, sizes) + within], starts.astype(np.intp)
