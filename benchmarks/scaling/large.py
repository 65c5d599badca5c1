"""Where a user's vectors outgrow a worker: its own index beside a database behind LangChain."""

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

Tell = Callable[[str], None]


class Searched(msgspec.Struct, frozen=True):
    """A search among so many messages, p50.

    Attributes:
        messages: of one user.
        own_ms: in the worker's own index: words, meaning, dates and neighbours.
        database_ms: in Chroma, in the same process: vectors alone.
    """

    messages: int
    own_ms: float
    database_ms: float


def measure_large(sizes: Sequence[int], tell: Tell) -> list[Searched]:
    """Search a growing history in both, query by query in turn.

    Args:
        sizes: of histories, in messages, ascending.
        tell: told what is going on.

    Raises:
        ConfigurationError: Chroma is not installed.
    """
    embedder = StaticEmbedder()
    entries = _entries(sizes[-1], embedder)
    queries = sentences(_QUERIES, seed=9)
    vectors = list(asyncio.run(embedder.embed(queries)))
    asked = {f"query {number}": vector for number, vector in enumerate(vectors)}
    known = {one.id: one.vector for one in entries if one.vector is not None} | asked
    handed = PrecomputedEmbeddings(
        {name: vector.astype(np.float32).tolist() for name, vector in known.items()}
    )
    index, found, filled = UserIndex(TextPipeline.for_language()), list[Searched](), 0
    with tempfile.TemporaryDirectory(prefix="onionskin-chroma-") as folder:
        collections = open_vector_database("chroma", folder, None)
        store = collections.open("onionskin-benchmark", handed, len(vectors[0]))
        for size in sizes:
            tell(f"a history of {size:,} messages, here and in Chroma")
            for start in range(filled, size, _BATCH):
                batch = entries[start : min(start + _BATCH, size)]
                index.put(*batch)
                names = [one.id for one in batch]
                store.add_texts(names, ids=names)
            filled = size
            own, database = list[float](), list[float]()
            for query, vector, name in zip(queries, vectors, asked, strict=True):
                own.append(_milliseconds(lambda q=query, v=vector: _search(index, q, v)))
                database.append(_milliseconds(lambda n=name: store.similarity_search(n, k=_TOP_K)))
            found.append(Searched(size, statistics.median(own), statistics.median(database)))
    return found


def _search(index: UserIndex, query: str, vector: Vector) -> object:
    return index.search(query, vector, top_k=_TOP_K)


def _milliseconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return (time.perf_counter() - began) * 1e3


def _entries(count: int, embedder: StaticEmbedder) -> list[Entry]:
    messages: list[tuple[str, Message]] = []
    roles: tuple[Role, Role] = ("user", "assistant")
    for said in history(count // 2, seed=1):
        for role, text in zip(roles, (said.message, said.reply), strict=True):
            at = 1.7e9 + len(messages) * _PAUSE_SECONDS
            messages.append((f"s{said.session}", Message(role, text, at)))
    vectors = asyncio.run(embedder.embed([one.content for _, one in messages]))
    return [
        Entry(session, position, message, vector.astype(np.float16))
        for position, ((session, message), vector) in enumerate(zip(messages, vectors, strict=True))
    ]
