"""Compares a worker's index with a vector database on long histories."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from onionskin.benchmarks.turn.histories import history, sentences
from onionskin.memory.retrieval import StaticEmbedder, TextPipeline, UserIndex
from onionskin.memory.types.messages import Entry, Message, Role, Vector
from onionskin.memory.vector_databases.base import PrecomputedEmbeddings, open_vector_database

SIZES = (1_000, 10_000, 50_000)
_QUERIES, _TOP_K = 100, 12
_BATCH, _PAUSE_SECONDS = 250, 2.0

OnProgress = Callable[[str], None]


class Searched(msgspec.Struct, frozen=True):
    """The p50 of a search in a history.

    Attributes:
        messages: Messages of the user.
        own_ms: In the worker's index, by words, vectors, dates and neighbours.
        database_ms: In Chroma in the same process, by vectors alone.
    """

    messages: int
    own_ms: float
    database_ms: float


def measure_large(sizes: Sequence[int], on_progress: OnProgress) -> list[Searched]:
    """Search a growing history in both, alternating query by query.

    Args:
        sizes: Sizes of the history in messages, ascending.
        on_progress: Receives a description of each step.

    Raises:
        ConfigurationError: Chroma is not installed.
    """
    embedder = StaticEmbedder()
    entries = _entries(sizes[-1], embedder)
    queries = sentences(_QUERIES, seed=9)
    vectors = list(asyncio.run(embedder.embed(queries)))
    query_vectors = {f"query {number}": vector for number, vector in enumerate(vectors)}
    known = {
        entry.id: entry.vector for entry in entries if entry.vector is not None
    } | query_vectors
    embeddings = PrecomputedEmbeddings(
        {name: vector.astype(np.float32).tolist() for name, vector in known.items()}
    )
    index, results, filled = UserIndex(TextPipeline.for_language()), list[Searched](), 0
    with tempfile.TemporaryDirectory(prefix="onionskin-chroma-") as folder:
        collections = open_vector_database("chroma", folder, None)
        store = collections.open("onionskin-benchmark", embeddings, len(vectors[0]))
        for size in sizes:
            on_progress(f"a history of {size:,} messages, here and in Chroma")
            for start in range(filled, size, _BATCH):
                batch = entries[start : min(start + _BATCH, size)]
                index.put(*batch)
                names = [entry.id for entry in batch]
                store.add_texts(names, ids=names)
            filled = size
            own, database = list[float](), list[float]()
            for query, vector, name in zip(queries, vectors, query_vectors, strict=True):
                own.append(_milliseconds(lambda q=query, v=vector: _search(index, q, v)))
                database.append(_milliseconds(lambda n=name: store.similarity_search(n, k=_TOP_K)))
            results.append(Searched(size, statistics.median(own), statistics.median(database)))
    return results


def _search(index: UserIndex, query: str, vector: Vector) -> object:
    return index.search(query, vector, top_k=_TOP_K)


def _milliseconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return (time.perf_counter() - began) * 1e3


def _entries(count: int, embedder: StaticEmbedder) -> list[Entry]:
    messages: list[tuple[str, Message]] = []
    roles: tuple[Role, Role] = ("user", "assistant")
    for turn in history(count // 2, seed=1):
        for role, text in zip(roles, (turn.message, turn.reply), strict=True):
            at = 1.7e9 + len(messages) * _PAUSE_SECONDS
            messages.append((f"s{turn.session}", Message(role, text, at)))
    vectors = asyncio.run(embedder.embed([message.content for _, message in messages]))
    return [
        Entry(session, position, message, vector.astype(np.float16))
        for position, ((session, message), vector) in enumerate(zip(messages, vectors, strict=True))
    ]
