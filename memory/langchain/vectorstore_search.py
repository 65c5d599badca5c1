"""Search for the vector store: by recall's ranking, or by cosine similarity alone."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import merge

from langchain_core.documents import Document

from onionskin.memory.langchain.documents import (
    Predicate,
    document_of_message,
    document_of_record,
)
from onionskin.memory.retrieval import CachedIndex, Selection, VectorHit
from onionskin.memory.types.messages import Entry, Vector
from onionskin.memory.types.records import Record

_RANK_CONSTANT = 60


@dataclass(frozen=True, slots=True)
class IndexSearch:
    """A search in a user's cached index.

    Attributes:
        view: The cached index.
        messages: Whether messages are searched besides memories.
        wanted: Whether a document may be found.
        now: Current time in Unix seconds.
    """

    view: CachedIndex
    messages: bool
    wanted: Predicate
    now: float = field(default_factory=time.time)

    def ranked(self, query: str, vector: Vector | None, top_k: int) -> list[Document]:
        """The best memories and messages by reciprocal rank, filled up with the nearest.

        Source: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion" (2009).
        """
        record_hits = self.view.records.search(
            query, vector, top_k=top_k, where=self._admits_record, selection=Selection()
        )
        ranks = [[document_of_record(hit.record) for hit in record_hits]]
        if self.messages:
            selection = Selection(where=self._admits_message)
            message_hits = self.view.index.search(query, vector, top_k=top_k, selection=selection)
            ranks.append([document_of_message(hit.entry) for hit in message_hits])
        scored = [
            (1 / (_RANK_CONSTANT + place), document)
            for ranking in ranks
            for place, document in enumerate(ranking)
        ]
        scored.sort(key=lambda pair: -pair[0])
        documents = [document for _, document in scored]
        if vector is not None and len(documents) < top_k:
            known = {document.id for document in documents}
            others = (document for document, _ in self.nearest(vector, top_k + len(known)))
            documents += [document for document in others if document.id not in known]
        return documents[:top_k]

    def nearest(self, vector: Vector, top_k: int) -> list[tuple[Document, VectorHit]]:
        """The documents nearest to a `(dim,)` vector, nearest first."""
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
        is_current = record.is_current(self.now, self.view.quarantine.quarantined_ids)
        return is_current and self.wanted(document_of_record(record))

    def _admits_message(self, entry: Entry) -> bool:
        quarantined = entry.id in self.view.quarantine.quarantined_ids
        return not quarantined and self.wanted(document_of_message(entry))
