"""Search over the conversations of a user."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from onionskin.memory.retrieval import ConversationHit, ConversationHits, ConversationQuery
from onionskin.memory.types.messages import Role, Vector
from onionskin.service.dependencies import OwnerDep, StateDep
from onionskin.service.errors import problem_responses
from onionskin.service.idempotency import IdempotentRoute
from onionskin.service.memories.schemas import Body
from onionskin.service.schemas import BoundedTime, ChatMessage, Metadata, SessionId

router = APIRouter(route_class=IdempotentRoute, prefix="/v1/users/{user_id}", tags=["sessions"])
_Sessions = Annotated[list[SessionId], Field(max_length=100)]


class MessageSearch(Body):
    """A query over conversations, with filters; all given conditions must hold."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"query": "What is my dog called?", "role": "user"}]},
    )

    query: str = Field(min_length=1, max_length=8192)
    sessions: _Sessions | None = Field(
        default=None, min_length=1, description="Search only these sessions."
    )
    apart_from: _Sessions = Field(default=[], description="Sessions to leave out.")
    role: Role | None = None
    author: str | None = Field(default=None, max_length=256, description="Name of the speaker.")
    since: BoundedTime | None = Field(default=None, description="Sent at or after this time.")
    until: BoundedTime | None = Field(default=None, description="Sent at or before this time.")
    metadata: Metadata = Field(
        default={},
        description="Filter of the messages' metadata: values, or `$eq`, `$ne`, `$gt`, `$gte`, "
        "`$lt`, `$lte`, `$in`, `$nin`, `$exists`; combined with `$and`, `$or`, `$not`.",
        examples=[{"channel": "web", "priority": {"$gte": 2}}],
    )
    min_similarity: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="Minimum cosine similarity with the query; messages that have no vector yet "
        "are left out.",
    )
    neighbours: int = Field(
        default=0, ge=0, le=10, description="Messages before and after each hit to return with it."
    )
    include_vectors: bool = Field(default=False, description="Whether hits have their vectors.")
    limit: int = Field(default=10, ge=1, le=100, description="Maximum number of hits per page.")
    cursor: str | None = Field(
        default=None,
        max_length=16_384,
        description="`next_cursor` of the previous page, with the same query and filters.",
    )

    def to_query(self) -> ConversationQuery:
        """The query without the page."""
        return ConversationQuery(
            self.query,
            sessions=None if self.sessions is None else frozenset(self.sessions),
            excluded_sessions=frozenset(self.apart_from),
            role=self.role,
            author=self.author,
            since=self.since.timestamp() if self.since else None,
            until=self.until.timestamp() if self.until else None,
            metadata=self.metadata,
            min_similarity=self.min_similarity,
            neighbours=self.neighbours,
        )


_PASSAGES = 3


class MessageHit(BaseModel):
    """A message that matches, with the parts of its score."""

    message: ChatMessage
    similarity: float | None = Field(
        description="Cosine of the vectors of message and query; null where one has none."
    )
    score: float
    parts: dict[str, float] = Field(description="The score is the sum of these.")
    context: list[ChatMessage] = Field(description="Neighbouring messages, oldest first.")
    passages: list[tuple[int, int]] = Field(
        default_factory=list[tuple[int, int]],
        description="Of a long message, start and end of its best passages, in characters, the "
        "best first.",
    )
    vector: list[float] | None = Field(
        default=None, description="Unit vector of the message, if requested and made already."
    )

    @classmethod
    def of(cls, found: ConversationHit) -> "MessageHit":
        """The schema of a hit."""
        hit = found.hit
        return cls(
            message=ChatMessage.of(hit.entry),
            similarity=found.similarity,
            score=hit.score,
            parts=dict(hit.parts),
            context=[ChatMessage.of(entry) for entry in hit.context],
            passages=list(hit.passages[:_PASSAGES]),
            vector=vector_list(found.vector),
        )


class MessageHits(BaseModel):
    """A page of search results, best match first."""

    hits: list[MessageHit]
    next_cursor: str | None = Field(description="Cursor of the next page; null on the last page.")
    degraded: list[str] = Field(description="Parts that failed, such as `embedder`.")

    @classmethod
    def of(cls, page: ConversationHits) -> "MessageHits":
        """The schema of a page."""
        return cls(
            hits=[MessageHit.of(hit) for hit in page.hits],
            next_cursor=page.cursor,
            degraded=list(page.degraded),
        )


def vector_list(vector: Vector | None) -> list[float] | None:
    """A vector as JSON."""
    return None if vector is None else [round(part, 6) for part in vector.tolist()]


@router.post("/search", responses=problem_responses(404, 422))
async def search_messages(user: OwnerDep, body: MessageSearch, state: StateDep) -> MessageHits:
    """Search the messages of all the user's sessions; best match first.

    The ranking is that of recall. Quarantined and replaced messages are not found.
    """
    page = await state.conversation_search.search(
        user,
        body.to_query(),
        limit=body.limit,
        cursor=body.cursor,
        with_vectors=body.include_vectors,
    )
    return MessageHits.of(page)
