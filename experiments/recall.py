"""Recall: of the messages that hold the answer, how many stand among the first k."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onionskin.experiments.conversations import Conversation
from onionskin.memory.retrieval.embedders.base import Embedder
from onionskin.memory.retrieval.index.user_index import UserIndex
from onionskin.memory.retrieval.language.analyzer import TextPipeline
from onionskin.memory.types.messages import Entry, Vector

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Indexed:
    """A conversation in an index of its own, and the vectors of its questions."""

    conversation: Conversation
    index: UserIndex
    rows: dict[str, int]
    names: dict[str, str]
    vectors: tuple[Vector, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """A question's recall at each k, `(len(top_k),)`, and how long the ranking took."""

    category: str
    recall: NDArray[np.float64]
    milliseconds: float


async def index_conversation(
    conversation: Conversation, embedder: Embedder, tongue: TextPipeline
) -> Indexed:
    """Index a conversation as the service would, message by message."""
    index = UserIndex(tongue)
    positions: dict[str, int] = {}
    names: dict[str, str] = {}
    entries: list[Entry] = []
    for said in conversation.messages:
        position = positions[said.session] = positions.get(said.session, -1) + 1
        entry = Entry(said.session, position, said.message)
        names[entry.id] = said.id
        entries.append(entry)
    for start in range(0, len(entries), _BATCH):
        batch = entries[start : start + _BATCH]
        vectors = await embedder.embed([entry.message.spoken for entry in batch])
        for entry, vector in zip(batch, vectors, strict=True):
            index.put(
                Entry(entry.session_id, entry.position, entry.message, vector.astype(np.float16))
            )
    queries = [index.strip_names(question.text) for question in conversation.questions]
    asked = [
        vector
        for start in range(0, len(queries), _BATCH)
        for vector in await embedder.embed(queries[start : start + _BATCH])
    ]
    rows = {said.id: row for row, said in enumerate(conversation.messages)}
    return Indexed(conversation, index, rows, names, tuple(asked))


def ask(
    indexed: Indexed, top_k: Sequence[int], tell: Callable[[], None] = lambda: None
) -> list[Answered]:
    """Ask every question of a conversation."""
    answered: list[Answered] = []
    for question, vector in zip(indexed.conversation.questions, indexed.vectors, strict=True):
        began = time.perf_counter()
        hits = indexed.index.search(question.text, vector, top_k=max(top_k))
        milliseconds = (time.perf_counter() - began) * 1000
        found = [indexed.names[hit.entry.id] for hit in hits]
        wanted = question.evidence
        shares = [sum(one in found[:k] for one in wanted) / len(wanted) for k in top_k]
        answered.append(Answered(question.category, np.array(shares), milliseconds))
        tell()
    return answered


def newest_first(conversation: Conversation, top_k: Sequence[int]) -> list[Answered]:
    """What a window of the newest messages recalls, whatever is asked."""
    newest = [said.id for said in reversed(conversation.messages)]
    answered: list[Answered] = []
    for question in conversation.questions:
        wanted = question.evidence
        shares = [sum(one in newest[:k] for one in wanted) / len(wanted) for k in top_k]
        answered.append(Answered(question.category, np.array(shares), 0.0))
    return answered
