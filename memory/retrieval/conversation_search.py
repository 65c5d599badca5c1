"""Search of a user's conversations: filtered, ranked as in recall, page by page."""

import base64
import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.retrieval.embedders.base import Embedder, embed_with_timeout
from onionskin.memory.retrieval.index.index_cache import IndexCache
from onionskin.memory.retrieval.index.user_index import UserIndex
from onionskin.memory.retrieval.ranking.selection import Selection
from onionskin.memory.types.filters import compile_filter
from onionskin.memory.types.messages import Entry, Role, User, Vector
from onionskin.memory.types.snapshot import Hit

_MOST_HITS = 1000
_DIGEST_BYTES = 6
_NOT_A_CURSOR = "{!r} is not a cursor of this search. Repeat the query and the filters unchanged."


@dataclass(frozen=True, slots=True)
class ConversationQuery:
    """What to search for.

    Attributes:
        text: The query.
        sessions: Search only these sessions; None for all.
        excluded_sessions: Sessions to leave out.
        role: Only messages of this role; None for both.
        author: Only messages of this speaker; None for all.
        since, until: Only messages of this time, Unix seconds; None for no limit.
        metadata: Filter of the messages' metadata, see `compile_filter`.
        min_similarity: Minimum cosine with the query; messages without a vector are left out.
        neighbours: Messages before and after each hit that come with it.
    """

    text: str
    sessions: frozenset[str] | None = None
    excluded_sessions: frozenset[str] = frozenset()
    role: Role | None = None
    author: str | None = None
    since: float | None = None
    until: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    min_similarity: float | None = None
    neighbours: int = 0

    @property
    def digest(self) -> str:
        """A digest of everything that decides the ranking."""
        parts = [
            self.text,
            None if self.sessions is None else sorted(self.sessions),
            sorted(self.excluded_sessions),
            *(self.role, self.author, self.since, self.until),
            self.metadata,
            self.min_similarity,
        ]
        packed = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(packed.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ConversationHit:
    """A message that matches.

    Attributes:
        hit: The message, its score and its neighbours.
        similarity: Cosine of its vector and the query's; None where one of them is missing.
        vector: `(dim,)`, unit length; None if it was not requested or does not exist.
    """

    hit: Hit
    similarity: float | None
    vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class ConversationHits:
    """A page of hits.

    Attributes:
        hits: Best match first.
        cursor: Continues behind the last hit; None on the last page.
        degraded: Names of components that the search did without.
    """

    hits: tuple[ConversationHit, ...]
    cursor: str | None = None
    degraded: tuple[str, ...] = ()


class ConversationSearch:
    """Searches the messages of a user in the index that recall uses.

    Args:
        indexes: The worker's indexes.
        embedder: Embeds the queries.
        embed_seconds: Time limit per query; after it, only words are searched.
    """

    def __init__(self, indexes: IndexCache, embedder: Embedder, *, embed_seconds: float) -> None:
        self._indexes, self._embedder, self._embed_seconds = indexes, embedder, embed_seconds

    async def search(
        self,
        user: User,
        query: ConversationQuery,
        *,
        limit: int,
        cursor: str | None = None,
        with_vectors: bool = False,
    ) -> ConversationHits:
        """A page of the messages that match the query by a word or by meaning.

        A page never repeats a hit of the pages before, and misses none of them, even if messages
        were added in between.

        Args:
            user: The owner of the conversations.
            query: What to search for.
            limit: Most hits of the page.
            cursor: `cursor` of the page before; None for the first.
            with_vectors: Whether hits have their vectors.

        Raises:
            InvalidInputError: A filter has an unknown operator, or the cursor belongs to another
                search.
        """
        admits = _filter_of(query)
        seen = _SeenHits.of(query, cursor)
        cached = await self._indexes.refresh(user)
        index, quarantined_ids = cached.index, cached.quarantine.quarantined_ids
        stripped = index.strip_names(query.text)
        (vector,) = await embed_with_timeout(self._embedder, [stripped], self._embed_seconds)
        degraded = ("embedder",) if vector is None else ()
        if query.min_similarity is not None and vector is None:
            return ConversationHits((), degraded=degraded)
        unembedded = () if query.min_similarity is None else index.unembedded
        hidden = quarantined_ids | {entry.id for entry in unembedded}
        found = index.search(
            query.text,
            vector,
            top_k=limit + 1,
            exclude=_Excluded(hidden, seen),
            selection=Selection(
                since=query.since,
                until=query.until,
                sessions=query.sessions,
                where=admits,
                min_similarity=query.min_similarity,
                neighbours=query.neighbours,
            ),
        )
        page = found[:limit]
        hits = _with_similarities(index, page, vector, with_vectors=with_vectors)
        shown = tuple(_without(hit, quarantined_ids) for hit in hits)
        after = seen.extended(page)
        has_more = len(found) > limit and len(after) < _MOST_HITS
        return ConversationHits(shown, after.cursor() if has_more else None, degraded)


def _filter_of(query: ConversationQuery) -> Any:
    fulfils = compile_filter(query.metadata) if query.metadata else None

    def admits(entry: Entry) -> bool:
        message = entry.message
        return (
            (query.role is None or message.role == query.role)
            and (query.author is None or message.author == query.author)
            and entry.session_id not in query.excluded_sessions
            and (
                fulfils is None or fulfils(json.loads(message.metadata) if message.metadata else {})
            )
        )

    return admits


def _with_similarities(
    index: UserIndex, hits: list[Hit], vector: Vector | None, *, with_vectors: bool
) -> list[ConversationHit]:
    ids = [hit.entry.id for hit in hits]
    cosines = index.similarities(ids, vector)
    vectors = index.vectors_of(ids) if with_vectors else [None] * len(ids)
    return [
        ConversationHit(hit, cosine, own)
        for hit, cosine, own in zip(hits, cosines, vectors, strict=True)
    ]


def _without(result: ConversationHit, hidden: frozenset[str]) -> ConversationHit:
    """The hit without neighbours that are quarantined."""
    hit = result.hit
    context = tuple(entry for entry in hit.context if entry.id not in hidden)
    if len(context) == len(hit.context):
        return result
    return ConversationHit(replace(hit, context=context), result.similarity, result.vector)


@dataclass(frozen=True, slots=True)
class _SeenHits:
    """The hits of the pages before, as digests of their ids."""

    query: str
    digests: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, query: ConversationQuery, cursor: str | None) -> "_SeenHits":
        if cursor is None:
            return cls(query.digest)
        try:
            name, _, rest = cursor.partition(".")
            packed = base64.urlsafe_b64decode(rest.encode("ascii"))
        except ValueError as error:
            raise InvalidInputError(_NOT_A_CURSOR.format(cursor)) from error
        if name != query.digest or len(packed) % _DIGEST_BYTES:
            raise InvalidInputError(_NOT_A_CURSOR.format(cursor))
        starts = range(0, len(packed), _DIGEST_BYTES)
        return cls(name, frozenset(packed[start : start + _DIGEST_BYTES] for start in starts))

    def __len__(self) -> int:
        return len(self.digests)

    def __contains__(self, message_id: str) -> bool:
        return bool(self.digests) and _digest(message_id) in self.digests

    def extended(self, hits: list[Hit]) -> "_SeenHits":
        return _SeenHits(self.query, self.digests | {_digest(hit.entry.id) for hit in hits})

    def cursor(self) -> str:
        packed = b"".join(sorted(self.digests))
        return f"{self.query}.{base64.urlsafe_b64encode(packed).decode()}"


@dataclass(frozen=True, slots=True)
class _Excluded(Container[str]):
    ids: frozenset[str]
    seen: _SeenHits

    def __contains__(self, message_id: object) -> bool:
        return message_id in self.ids or str(message_id) in self.seen


def _digest(message_id: str) -> bytes:
    return hashlib.sha256(message_id.encode()).digest()[:_DIGEST_BYTES]
