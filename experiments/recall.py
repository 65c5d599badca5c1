"""Recall at k: the share of the messages with the answer that are among the first k hits."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onionskin.experiments.conversations import Conversation
from onionskin.memory.retrieval import Embedder, TextPipeline, UserIndex, passage_encoder
from onionskin.memory.types.messages import Entry, Vector

_BATCH = 256


@dataclass(frozen=True, slots=True)
class IndexedConversation:
    """A conversation in an index of its own.

    Attributes:
        conversation: The conversation.
        index: Its messages.
        rows: Rows of each message in the index, by message id.
        message_ids: Message ids by entry id.
        vectors: Vectors of the questions, in order.
    """

    conversation: Conversation
    index: UserIndex
    rows: dict[str, Sequence[int]]
    message_ids: dict[str, str]
    vectors: tuple[Vector, ...]


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """A question's recall at each k, `(len(top_k),)`, and the time of its ranking."""

    category: str
    recall: NDArray[np.float64]
    milliseconds: float


async def index_conversation(
    conversation: Conversation, embedder: Embedder, text_pipeline: TextPipeline
) -> IndexedConversation:
    """Index a conversation message by message, as the service does."""
    index = UserIndex(text_pipeline, encode=passage_encoder(embedder))
    positions: dict[str, int] = {}
    message_ids: dict[str, str] = {}
    entries: list[Entry] = []
    for recorded in conversation.messages:
        position = positions[recorded.session] = positions.get(recorded.session, -1) + 1
        entry = Entry(recorded.session, position, recorded.message)
        message_ids[entry.id] = recorded.id
        entries.append(entry)
    for start in range(0, len(entries), _BATCH):
        batch = entries[start : start + _BATCH]
        vectors = await embedder.embed([entry.message.spoken for entry in batch])
        for entry, vector in zip(batch, vectors, strict=True):
            index.put(
                Entry(entry.session_id, entry.position, entry.message, vector.astype(np.float16))
            )
    queries = [index.strip_names(question.text) for question in conversation.questions]
    query_vectors = [
        vector
        for start in range(0, len(queries), _BATCH)
        for vector in await embedder.embed(queries[start : start + _BATCH])
    ]
    entry_ids = {message_id: entry_id for entry_id, message_id in message_ids.items()}
    rows = {
        recorded.id: index.rows_of(entry_ids[recorded.id]) for recorded in conversation.messages
    }
    return IndexedConversation(conversation, index, rows, message_ids, tuple(query_vectors))


def search_all(
    indexed: IndexedConversation,
    top_k: Sequence[int],
    on_progress: Callable[[], None] = lambda: None,
) -> list[QuestionResult]:
    """Search for every question of a conversation.

    Args:
        indexed: The conversation.
        top_k: The values of k.
        on_progress: Called after each question.
    """
    results: list[QuestionResult] = []
    for question, vector in zip(indexed.conversation.questions, indexed.vectors, strict=True):
        started = time.perf_counter()
        hits = indexed.index.search(question.text, vector, top_k=max(top_k))
        milliseconds = (time.perf_counter() - started) * 1000
        ranking = [indexed.message_ids[hit.entry.id] for hit in hits]
        recall = _recall(question.evidence, ranking, top_k)
        results.append(QuestionResult(question.category, recall, milliseconds))
        on_progress()
    return results


def newest_first(conversation: Conversation, top_k: Sequence[int]) -> list[QuestionResult]:
    """The recall of a window of the newest messages, which is the same for every question."""
    newest = [recorded.id for recorded in reversed(conversation.messages)]
    return [
        QuestionResult(question.category, _recall(question.evidence, newest, top_k), 0.0)
        for question in conversation.questions
    ]


def _recall(
    evidence: Sequence[str], ranking: Sequence[str], top_k: Sequence[int]
) -> NDArray[np.float64]:
    """The share of the evidence among the first k of a ranking, for each k."""
    return np.array([sum(item in ranking[:k] for item in evidence) / len(evidence) for k in top_k])
