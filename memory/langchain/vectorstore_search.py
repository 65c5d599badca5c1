"""What a user's index answers as a vector store: by the ranking of recall, or by cosine alone."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import merge

from langchain_core.documents import Document

from onionskin.memory.langchain.documents import (
    Filter,
    document_of_message,
    document_of_record,
    passes,
)
from onionskin.memory.retrieval import CachedIndex, Selection, VectorHit
from onionskin.memory.types.messages import Entry, Vector
from onionskin.memory.types.records import Record

_RANK_CONSTANT = 60


@dataclass(frozen=True, slots=True)
class IndexSearch:
    """A view of a user, as of now, with what may be found in it.

    Attributes:
        messages: whether what was said is searched beside memories.
        wanted: a filter of documents.
    """

    view: CachedIndex
    messages: bool
    wanted: Filter = None
    now: float = field(default_factory=time.time)

    def ranked(self, query: str, vector: Vector | None, top_k: int) -> list[Document]:
        """The best of both, by reciprocal rank; then, where these are too few, the nearest.

        Source: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion" (2009).
        """
        noted = self.view.records.search(
            query, vector, top_k=top_k, where=self._admits_record, selection=Selection()
        )
        ranks = [[document_of_record(one.record) for one in noted]]
        if self.messages:
            selection = Selection(where=self._admits_message)
            told = self.view.index.search(query, vector, top_k=top_k, selection=selection)
            ranks.append([document_of_message(one.entry) for one in told])
        weighed = [
            (1 / (_RANK_CONSTANT + place), document)
            for documents in ranks
            for place, document in enumerate(documents)
        ]
        weighed.sort(key=lambda one: -one[0])
        found = [document for _, document in weighed]
        if vector is not None and len(found) < top_k:
            known = {one.id for one in found}
            others = (one for one, _ in self.nearest(vector, top_k + len(known)))
            found += [one for one in others if one.id not in known]
        return found[:top_k]

    def nearest(self, vector: Vector, top_k: int) -> list[tuple[Document, VectorHit]]:
        """The documents nearest to a `(dim,)` vector, the nearest first."""
        found = merge(
            self._near_records(vector, top_k),
            self._near_messages(vector, top_k) if self.messages else iter(()),
            key=lambda one: -one[1].cosine,
        )
        return list(found)[:top_k]

    def _near_records(self, vector: Vector, top_k: int) -> Iterator[tuple[Document, VectorHit]]:
        records = self.view.records
        admits: Callable[[Entry], bool] = lambda entry: bool(  # noqa: E731
            (record := records.get(entry.session_id)) and self._admits_record(record)
        )
        for near in records.index.nearest(vector, top_k=top_k, where=admits):
            if record := records.get(near.entry.session_id):
                yield document_of_record(record), near

    def _near_messages(self, vector: Vector, top_k: int) -> Iterator[tuple[Document, VectorHit]]:
        where = self._admits_message
        for near in self.view.index.nearest(vector, top_k=top_k, where=where):
            yield document_of_message(near.entry), near

    def _admits_record(self, record: Record) -> bool:
        return (
            record.is_recalled(self.now)
            and record.id not in self.view.quarantine.quarantined_ids
            and passes(document_of_record(record), self.wanted)
        )

    def _admits_message(self, entry: Entry) -> bool:
        held = entry.id in self.view.quarantine.quarantined_ids
        return not held and passes(document_of_message(entry), self.wanted)
