"""A user's messages, searchable: FAISS over their vectors, BM25 over their words, one ranking."""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from sys import getsizeof

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.bm25 import Bm25Index
from onionskin.memory.retrieval.index.context_norms import ContextNorms
from onionskin.memory.retrieval.index.faiss_vectors import EXACT_UPTO, FaissIndex
from onionskin.memory.retrieval.index.message_features import MessageFeatures
from onionskin.memory.retrieval.index.passages import Span, has_own_row, passage, split, unit_mean
from onionskin.memory.retrieval.language.analyzer import TextPipeline, words_of
from onionskin.memory.retrieval.ranking.features import NAMES
from onionskin.memory.retrieval.ranking.query import named_in, strip_names
from onionskin.memory.retrieval.ranking.ranker import Ranked, Ranker
from onionskin.memory.retrieval.ranking.selection import (
    EVERYTHING,
    EvidenceFilter,
    Selection,
    select,
)
from onionskin.memory.retrieval.ranking.weights import Weights, by_group
from onionskin.memory.types.messages import Entry, Message, Vector, Vectors
from onionskin.memory.types.snapshot import Hit

_EMPTY_BYTES, _ENTRY_BYTES = 2_000, 600
_PASSAGES_AT_ONCE = 8
_PASSAGE_COLUMNS = [NAMES.index("words"), NAMES.index("meaning")]
_PASSAGE_WEIGHTS = np.array([1.0, 0.5], np.float32)
"""Weights that order the passages of a message: neighbours, which count in a score, blur it."""


@dataclass(frozen=True, slots=True)
class VectorHit:
    """An entry, its cosine with the query vector, and its own `(dim,)` vector."""

    entry: Entry
    cosine: float
    vector: Vector


class UserIndex:
    """The index of one user, append-only: a put costs the same however long the history is.

    Rows are numbered in the order of arrival. A message has one row, a long one a row for each
    passage. Deleted rows remain as tombstones; a large `dead_share` is a reason to rebuild the
    index.

    Args:
        text_pipeline: Language of the messages.
        weights: Ranking weights to use in place of those learned for the language.
        exact_upto: Number of vectors up to which vector search is exact.
        encode: Embeds the passages of long messages at once; None for a remote embedder, whose
            vectors of passages are stored.
    """

    def __init__(
        self,
        text_pipeline: TextPipeline,
        *,
        weights: Weights | None = None,
        exact_upto: int = EXACT_UPTO,
        encode: Callable[[Sequence[str]], Vectors] | None = None,
    ) -> None:
        self._text_pipeline, self._encode = text_pipeline, encode
        self.entries: list[Entry | None] = []
        self._row_of: dict[str, int] = {}
        self._spans: dict[int, Span] = {}
        self._passages: dict[str, range] = {}
        self._bm25, self.vectors = Bm25Index(), FaissIndex(exact_upto=exact_upto)
        self._message_features = MessageFeatures(text_pipeline.words)
        self._context_norms = ContextNorms(self._message_features, self.vectors)
        self.ranker = Ranker(
            text_pipeline,
            self._bm25,
            self.vectors,
            self._message_features,
            self._context_norms,
            weights=weights,
        )
        self._text_bytes = _EMPTY_BYTES
        self._dead_without_vector = 0
        self._prefetched: Ranked | None = None

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def size_bytes(self) -> int:
        """Estimated memory, deleted rows included."""
        parts = (self._message_features, self.vectors, self._context_norms, self._bm25)
        return self._text_bytes + sum(part.size_bytes for part in parts)

    @property
    def dead_share(self) -> float:
        """The share of deleted rows."""
        return len(self._message_features.deleted) / len(self.entries) if self.entries else 0.0

    @property
    def pending(self) -> int:
        """The number of rows without a vector."""
        return len(self.entries) - len(self.vectors) - self._dead_without_vector

    @property
    def unembedded(self) -> list[Entry]:
        """The messages without vectors of the current embedder, oldest first."""
        if not self.pending:
            return []
        return [
            entry
            for entry_id, row in self._row_of.items()
            if any(place not in self.vectors for place in self._passages.get(entry_id, (row,)))
            and (entry := self.entries[row])
        ]

    @property
    def outgrown(self) -> bool:
        """Whether there are so many vectors that the index needs `approximate`."""
        return self.vectors.outgrown

    def approximate(self) -> None:
        """Switch to approximate vector search; long-running, and must not run beside `put`."""
        self.vectors.approximate()

    def put(self, *entries: Entry) -> None:
        """Add messages, or the vectors of messages that were added without one."""
        self._prefetched = None
        rows, placed = list[int](), list[tuple[int, NDArray[np.float16]]]()
        for entry in entries:
            row = self._row_of.get(entry.id)
            if entry.id in self._passages or split(entry.message.content):
                for _ in self.put_passages(entry):
                    pass
                continue
            row = self._add(entry, entry.message) if row is None else row
            rows.append(row)
            if entry.vector is not None:
                placed.append((row, entry.vector))
        self.vectors.add(placed)
        self._context_norms.invalidate(rows)

    def put_passages(self, entry: Entry) -> Iterator[None]:
        """Add a long message, or its vectors, a few passages with each step; take all steps.

        Its vector is `(passages, dim)`, or `(dim,)` for the message as a whole.
        """
        self._prefetched = None
        if entry.id not in self._passages:
            yield from self._add_passages(entry)
        self._put_passage_vectors(entry)

    def _add_passages(self, entry: Entry) -> Iterator[None]:
        message, spans = entry.message, split(entry.message.content)
        has_row = has_own_row(message.content)
        first_row = self._add(entry, message) if has_row else len(self.entries)
        for first in range(0, len(spans), _PASSAGES_AT_ONCE):
            texts = [passage(message, span) for span in spans[first : first + _PASSAGES_AT_ONCE]]
            numbers = range(first, first + len(texts)) if has_row else [None] * len(texts)
            rows = [self._add(entry, *one) for one in zip(texts, numbers, strict=True)]
            self._passages[entry.id] = range(first_row, rows[-1] + 1)
            self._spans.update(zip(rows, spans[first:], strict=False))
            if self._encode:
                own = self._encode([text.spoken for text in texts]).astype(np.float16)
                self.vectors.add(list(zip(rows, own, strict=True)))
            yield

    def _put_passage_vectors(self, entry: Entry) -> None:
        """Add the vectors of a long message, except of passages that were embedded here."""
        rows = self._passages[entry.id]
        self._context_norms.invalidate(rows)
        if entry.vector is None:
            return
        vectors = np.atleast_2d(entry.vector)
        if rows[0] not in self._spans:
            self.vectors.add([(rows[0], unit_mean(vectors))])
            rows = rows[1:]
        elif len(vectors) == 1:  # it covers the beginning
            self.vectors.add([(rows[0], vectors[0])])
        if len(vectors) == len(rows) and not self._encode:
            self.vectors.add(list(zip(rows, vectors, strict=True)))

    def _add(self, entry: Entry, message: Message, number: int | None = None) -> int:
        """A new row for a message, or for a passage of one; see `MessageFeatures.add`."""
        row = len(self.entries)
        if self._row_of.setdefault(entry.id, row) == row:
            self._text_bytes += getsizeof(entry.message.content)
            entry = Entry(entry.session_id, entry.position, entry.message)  # FAISS has the vector
        else:
            entry = self.entries[row - 1] or entry
        self.entries.append(entry)
        self._text_bytes += _ENTRY_BYTES
        pipeline, features = self._text_pipeline, self._message_features
        words = words_of(message.spoken.casefold())
        terms = self._bm25.add(pipeline.analyze.terms(words))
        indexed = Entry(entry.session_id, entry.position, message)
        features.add(indexed, words, terms, pipeline.vectors.ids(words), passage=number)
        return row

    def rows_of(self, entry_id: str) -> Sequence[int]:
        """The rows of a message: one, or one for each passage; none for an unknown message."""
        row = self._row_of.get(entry_id)
        return () if row is None else self._passages.get(entry_id, (row,))

    def drop_session(self, session_id: str) -> None:
        """Delete a session's messages."""
        self._prefetched = None
        for row, entry in enumerate(self.entries):
            if entry and entry.session_id == session_id:
                self._row_of.pop(entry.id, None)
                self._passages.pop(entry.id, None)
                self._delete(row)

    def drop(self, ids: Iterable[str]) -> None:
        """Delete messages by their ids; their neighbours become neighbours."""
        self._prefetched, around = None, set[int]()
        for entry_id in ids:
            rows = self.rows_of(entry_id)
            self._row_of.pop(entry_id, None)
            self._passages.pop(entry_id, None)
            is_whole = bool(rows) and rows[0] not in self._spans
            for row in rows:
                around.update(self._message_features.around(row, 2))
                self._delete(row)
            for row in rows[:1] if is_whole else rows:
                self._message_features.unlink(row)
        self._context_norms.invalidate([row for row in around if self.entries[row]])

    def _delete(self, row: int) -> None:
        self.entries[row] = None
        self._spans.pop(row, None)
        self._message_features.mark_deleted(row)
        self._dead_without_vector += row not in self.vectors

    def strip_names(self, query: str) -> str:
        """The query to embed: the text without the speakers' names.

        With the names, the nearest messages would be short ones that contain little but a name.
        """
        names = named_in(query.casefold(), self._message_features.authors)
        return (strip_names(query, names).strip() or query) if names else query

    def search(
        self,
        query: str,
        vector: Vector | None,
        *,
        top_k: int,
        exclude: Container[str] = (),
        selection: Selection = EVERYTHING,
        exclude_text: str | None = None,
    ) -> list[Hit]:
        """The messages that match the query best.

        Args:
            query: The text.
            vector: The `(dim,)` unit vector of `strip_names(query)`; None for words alone.
            top_k: Maximum number of hits.
            exclude: Ids of messages that the prompt already contains.
            selection: Filters and preferences.
            exclude_text: Leave out messages that consist of this text. A question that was asked
                before is nearest to itself, and answers nothing.

        Returns:
            Hits, best first; only messages that match a word or the meaning of the query.
        """
        if not self._row_of or top_k <= 0:
            return []
        plain = selection.is_plain
        ranked = self._prefetched if plain else None
        if ranked is None or not ranked.answers(query, vector, selection.today):
            ranked = self.ranker.rank(
                query,
                vector,
                now=selection.now,
                today=selection.today,
                among=selection.rows_of(self.entries),
                plain=plain,
            )
        if ranked is None:
            return []
        rows: list[int] = ranked.rows.tolist()
        chosen = select(
            ranked.scores,
            list(map(self.entries.__getitem__, rows)),
            has_evidence=EvidenceFilter(
                ranked.features,
                ranked.candidates,
                self._message_features,
                self._text_pipeline.vectors,
                ranked.parse,
            ),
            similarities=None if vector is None else ranked.features[:, NAMES.index("cosine")],
            vectors=lambda: self.vectors.of(ranked.rows)[0],
            top_k=top_k,
            exclude=exclude,
            selection=selection,
            exclude_text=exclude_text,
        )
        if not chosen:
            return []
        places = [place for place, _, _ in chosen]
        parts = by_group(ranked.columns[places] * ranked.weights)
        around, count = self._around, selection.neighbours
        return [
            Hit(
                entry,
                round(score, 4),
                score_parts | bonuses,
                around(rows[place], count),
                self._matching_passages(ranked, place),
            )
            for (place, score, bonuses), score_parts in zip(chosen, parts, strict=True)
            if (entry := self.entries[rows[place]])
        ]

    def prefetch_ranking(self, query: str, vector: Vector | None) -> None:
        """Rank the messages for an expected `search`; the result is valid until the next change."""
        if self._row_of:
            self._prefetched = self.ranker.rank(query, vector, now=EVERYTHING.now)

    def nearest(
        self, vector: Vector, *, top_k: int, where: Callable[[Entry], bool]
    ) -> list[VectorHit]:
        """The entries nearest to a vector by exact search, the nearest first.

        Args:
            vector: `(dim,)`, unit length.
            top_k: Maximum number of entries.
            where: Predicate that an entry must fulfil; entries without a vector are left out.
        """
        rows = [row for row, entry in enumerate(self.entries) if entry and where(entry)]
        if not rows or not self.vectors.fits(vector):
            return []
        vectors, known = self.vectors.of(np.array(rows, np.intp))
        cosines = np.where(known, vectors @ vector, -np.inf)
        found: dict[str, VectorHit] = {}
        order: list[int] = np.argsort(-cosines, kind="stable").tolist()
        for place in order:
            if not known[place] or len(found) == top_k:
                break
            if (entry := self.entries[rows[place]]) and entry.id not in found:
                found[entry.id] = VectorHit(entry, float(cosines[place]), vectors[place])
        return list(found.values())

    def similarities(self, ids: Sequence[str], vector: Vector | None) -> list[float | None]:
        """The cosine of each message and a `(dim,)` unit vector; None where one has no vector.

        That of a long message is the best of its passages'.
        """
        if vector is None or not ids or not self.vectors.fits(vector):
            return [None] * len(ids)
        similarities: list[float | None] = []
        for entry_id in ids:
            cosines, known = self.vectors.cosines(np.array(self.rows_of(entry_id), np.intp), vector)
            similarities.append(round(float(cosines[known].max()), 4) if known.any() else None)
        return similarities

    def vectors_of(self, ids: Sequence[str]) -> list[Vector | None]:
        """The `(dim,)` vector of each message, or of its first passage; None without one."""
        if not ids:
            return []
        vectors, known = self.vectors.of(np.array([self._row_of[one] for one in ids], np.intp))
        pairs = zip(vectors, known.tolist(), strict=True)
        return [vector if has_vector else None for vector, has_vector in pairs]

    def sessions_of(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """The number of each row's session."""
        return self._message_features.sessions(rows)

    def _around(self, row: int, count: int) -> tuple[Entry, ...]:
        """Up to `count` messages before and after a row, of its session."""
        entry, step = self.entries[row], self._message_features.step
        if not count or entry is None:
            return ()
        rows = self.rows_of(entry.id)
        last = rows[-1] if rows[0] in self._spans else rows[0]
        found: list[Entry] = []
        for place, by in ((rows[0], -1), (last, 1)):
            ids, near = set[str](), place
            while len(ids) < count and (near := int(step(np.array([near]), by)[0])) >= 0:
                neighbour = self.entries[near]
                if neighbour and neighbour.id not in ids:
                    ids.add(neighbour.id)
                    found.append(neighbour)
        return tuple(sorted(found, key=lambda neighbour: neighbour.position))

    def _matching_passages(self, ranked: Ranked, best: int) -> tuple[Span, ...]:
        """The passages of a long message that were ranked, those with the query's words first."""
        entry = self.entries[int(ranked.rows[best])]
        rows = self._passages.get(entry.id) if entry else None
        if rows is None:
            return ()
        first, last = np.searchsorted(ranked.rows, (rows[0], rows[-1] + 1))
        own = ranked.features[first:last][:, _PASSAGE_COLUMNS] @ _PASSAGE_WEIGHTS
        found = ranked.rows[first:last][np.argsort(-own, kind="stable")].tolist()
        spans = (self._spans.get(row) for row in (*found, *rows))
        return tuple(dict.fromkeys(filter(None, spans)))[: max(len(found), 1)]
