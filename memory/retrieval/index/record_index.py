"""One user's records, searchable, and by id."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.user_index import UserIndex
from onionskin.memory.retrieval.ranking.selection import Selection
from onionskin.memory.types.change_log import PutRecord
from onionskin.memory.types.messages import Entry, Vector
from onionskin.memory.types.records import Record
from onionskin.memory.types.snapshot import Hit

_MOST_DEAD = 0.5
_IMPORTANCE_WEIGHT = 0.5
_RECORD_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class RecordHit:
    """A record that was found, its score, and the parts the score is made of."""

    record: Record
    hit: Hit


class RecordIndex:
    """Every record of a user, of whatever state: who asks decides which count.

    Args:
        make_index: an empty index.

    Attributes:
        index: their contents; the session of an entry is the record.
    """

    def __init__(self, make_index: Callable[[], UserIndex]) -> None:
        self._make_index, self.index = make_index, make_index()
        self._records: dict[str, Record] = {}
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._records.values()))

    def get(self, record_id: str) -> Record | None:
        """The record of an id."""
        return self._records.get(record_id)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return self.index.size_bytes + _RECORD_BYTES * len(self)

    @property
    def unembedded(self) -> list[Record]:
        """The records without a vector of the embedder in use."""
        return [self._records[one.session_id] for one in self.index.unembedded]

    def put(self, change: PutRecord) -> None:
        """Take up a record as it is now, or forget it."""
        known = self._entries.get(change.id)
        if change.record is None or change.entry is None:
            self._records.pop(change.id, None)
            self._entries.pop(change.id, None)
            self.index.drop_session(change.id)
        else:
            self._records[change.id] = change.record
            if known is None or not _same(known, change.entry):
                if known is not None:
                    self.index.drop_session(change.id)
                self._entries[change.id] = change.entry
                self.index.put(change.entry)
        if self.index.dead_share > _MOST_DEAD:
            self.index = self._make_index()
            self.index.put(*self._entries.values())

    def search(
        self,
        query: str,
        vector: Vector | None,
        *,
        top_k: int,
        where: Callable[[Record], bool],
        selection: Selection,
    ) -> list[RecordHit]:
        """The records that answer `query` best, importance counted in.

        Args:
            query: the text.
            vector: its `(dim,)` unit vector; None to search by words alone.
            top_k: how many.
            where: only records for which this holds.
            selection: further wishes, such as the least similarity.
        """
        admitted = {one.id for one in self._records.values() if where(one)}
        importance = {self._entries[one].id: self._records[one].importance for one in admitted}

        def admits(entry: Entry) -> bool:
            return entry.session_id in admitted

        asked = replace(
            selection,
            where=admits,
            importance=importance,
            importance_weight=_IMPORTANCE_WEIGHT,
        )
        found = self.index.search(query, vector, top_k=top_k, selection=asked)
        return [RecordHit(self._records[hit.entry.session_id], hit) for hit in found]


def _same(one: Entry, other: Entry) -> bool:
    return one.message == other.message and _equal(one.vector, other.vector)


def _equal(one: NDArray[np.float16] | None, other: NDArray[np.float16] | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)
