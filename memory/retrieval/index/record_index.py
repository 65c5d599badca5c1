"""A user's records, searchable and by id."""

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

_MAX_DEAD_SHARE = 0.5
_IMPORTANCE_WEIGHT = 0.5
_RECORD_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class RecordHit:
    """A record and its hit: the score, and the parts of the score."""

    record: Record
    hit: Hit


class RecordIndex:
    """All records of a user, in every state; a search filters them.

    Args:
        make_index: Makes an empty index.

    Attributes:
        index: The records' contents; an entry's session id is the record's id.
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
        """The record by id; None if there is none."""
        return self._records.get(record_id)

    def newest(self, record: Record) -> Record:
        """The record that supersedes another in the end; itself if there is none."""
        seen = {record.id}
        while newer := self.get(record.superseded_by or ""):
            if newer.id in seen:
                break
            seen.add(newer.id)
            record = newer
        return record

    @property
    def size_bytes(self) -> int:
        """Estimated memory."""
        return self.index.size_bytes + _RECORD_BYTES * len(self)

    @property
    def unembedded(self) -> list[Record]:
        """The records without a vector of the current embedder."""
        return [self._records[entry.session_id] for entry in self.index.unembedded]

    def put(self, change: PutRecord) -> None:
        """Apply a change: store the record as it is now, or delete it."""
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
        if self.index.dead_share > _MAX_DEAD_SHARE:
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
        """The records that match the query best; the score includes their importance.

        Args:
            query: The text.
            vector: Its `(dim,)` unit vector; None for words alone.
            top_k: Maximum number of records.
            where: Predicate that a record must fulfil.
            selection: Further filters, such as the minimum similarity.
        """
        admitted = {record.id for record in self._records.values() if where(record)}
        importance = {
            self._entries[record_id].id: self._records[record_id].importance
            for record_id in admitted
        }

        def admits(entry: Entry) -> bool:
            return entry.session_id in admitted

        full_selection = replace(
            selection,
            where=admits,
            importance=importance,
            importance_weight=_IMPORTANCE_WEIGHT,
        )
        hits = self.index.search(query, vector, top_k=top_k, selection=full_selection)
        return [RecordHit(self._records[hit.entry.session_id], hit) for hit in hits]


def _same(left: Entry, right: Entry) -> bool:
    return left.message == right.message and _equal(left.vector, right.vector)


def _equal(left: NDArray[np.float16] | None, right: NDArray[np.float16] | None) -> bool:
    if left is None or right is None:
        return left is right
    return np.array_equal(left, right)
