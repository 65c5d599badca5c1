"""Compares the speed and memory of recall with LangChain-community's FAISS store and mem0.

    OPENBLAS_NUM_THREADS=1 .venv/bin/python -m onionskin.benchmarks.recall_speed

Messages are random sentences with a natural distribution of words, embedded by the built-in model.
All sides get the same texts and queries, interleaved on one core. mem0 (over FAISS, without its
model) is measured up to 10,000 messages if the extra `bench` is installed. Reported are the
milliseconds to rank a query without its embedding, to add a message, and to build an index from
Redis, and the resident bytes of a message beyond its text.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from rich.console import Console
from rich.table import Table

from onionskin.benchmarks.mem0_store import Mem0
from onionskin.memory.retrieval import (
    IndexCache,
    StaticEmbedder,
    TextPipeline,
    UserIndex,
)
from onionskin.memory.retrieval.language.word_vectors import word_vectors
from onionskin.memory.store import Connection, EmbeddedRedis, RedisStore
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import Entry, Message, Session, User, Vectors

_SIZES, _QUICK_SIZES = (700, 10_000, 100_000), (700, 10_000)
_QUERIES, _ADDS = 200, 500
_COLD, _SHORT = 10_000, 2
_RANKS = ("rank_ms_p50", "rank_ms_p99", "faiss_store_ms_p50", "mem0_ms_p50")
_MOST_FOR_MEM0, _MEM0_ADDS = 10_000, 50  # each add writes its whole store to disk


def texts(count: int, seed: int) -> list[str]:
    """Random sentences of 6 to 30 words, with word frequencies as in speech (Zipf)."""
    draw = random.Random(seed)
    words = [word for word in word_vectors().vocabulary if word.isalpha() and len(word) > _SHORT]
    weights = [1 / (rank + 5) for rank in range(len(words))]
    return [
        " ".join(draw.choices(words, weights, k=draw.randint(6, 30))) + draw.choice(".!?")
        for _ in range(count)
    ]


async def entries(count: int, embedder: StaticEmbedder, seed: int = 1) -> list[Entry]:
    """Embedded messages of two speakers, in sessions of forty."""
    contents = texts(count, seed)
    stored: list[Entry] = []
    for start in range(0, count, 5000):
        vectors = await embedder.embed(contents[start : start + 5000])
        for offset, vector in enumerate(vectors):
            number = start + offset
            message = Message("user", contents[number], 1e9 + number, ("Ana", "Ben")[number % 2])
            stored.append(
                Entry(f"s_{number // 40}", number % 40, message, vector.astype(np.float16))
            )
    return stored


def resident() -> int:
    """Resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def measure(size: int, embedder: StaticEmbedder) -> dict[str, float]:
    """The figures of one size, measured query by query in alternation."""
    from langchain_community.docstore.in_memory import InMemoryDocstore  # noqa: PLC0415
    from langchain_community.vectorstores import FAISS  # noqa: PLC0415
    from langchain_core.embeddings import Embeddings  # noqa: PLC0415

    class NoEmbeddings(Embeddings):
        """A placeholder for the embedder; vectors are passed to the store."""

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            raise NotImplementedError

        def embed_query(self, text: str) -> list[float]:
            raise NotImplementedError

    stored = await entries(size + _ADDS, embedder)
    questions = [" ".join(text.split()[:7]) + "?" for text in texts(_QUERIES, 7)]
    vectors = await embedder.embed(questions)
    gc.collect()
    before = resident()
    index = UserIndex(TextPipeline.for_language())
    for entry in stored[:size]:
        index.put(entry)
    gc.collect()
    bytes_each = (resident() - before) / size
    flat = faiss.IndexFlatIP(len(vectors[0]))
    theirs: Any = FAISS(NoEmbeddings(), flat, InMemoryDocstore(), {})
    pairs = [
        (e.message.content, e.vector.astype(np.float32).tolist())
        for e in stored[:size]
        if e.vector is not None
    ]
    for start in range(0, size, 10_000):
        theirs.add_embeddings(pairs[start : start + 10_000])
    ours_ms: list[float] = []
    theirs_ms: list[float] = []
    for question, vector in zip(questions, vectors, strict=True):
        began = time.perf_counter()
        index.search(question, vector, top_k=20)
        ours_ms.append((time.perf_counter() - began) * 1000)
        as_list = vector.tolist()
        began = time.perf_counter()
        theirs.similarity_search_by_vector(as_list, k=20)
        theirs_ms.append((time.perf_counter() - began) * 1000)
    add: list[float] = []
    their_add: list[float] = []
    for entry in stored[size:]:
        began = time.perf_counter()
        index.put(entry)
        add.append((time.perf_counter() - began) * 1000)
        assert entry.vector is not None
        pair = (entry.message.content, entry.vector.astype(np.float32).tolist())
        began = time.perf_counter()
        theirs.add_embeddings([pair])
        their_add.append((time.perf_counter() - began) * 1000)
    return {
        "messages": size,
        "rank_ms_p50": float(np.median(ours_ms)),
        "rank_ms_p99": float(np.percentile(ours_ms, 99)),
        "faiss_store_ms_p50": float(np.median(theirs_ms)),
        "add_ms": float(np.mean(add)),
        "faiss_store_add_ms": float(np.mean(their_add)),
        "bytes_each": bytes_each,
    } | mem0_times(stored, size, questions, vectors)


def mem0_times(
    stored: list[Entry], size: int, questions: list[str], vectors: Vectors
) -> dict[str, float]:
    """mem0's figures with the same messages; NaN where it is not measured."""
    ranked, added = [float("nan")], [float("nan")]
    given = [
        (e.message.content, e.vector.astype(np.float32)) for e in stored if e.vector is not None
    ]
    if size <= _MOST_FOR_MEM0 and (mem0 := _mem0(len(vectors[0]))):
        mem0.fill(given[:size])
        ranked = [_ms(mem0.search, *pair, 20) for pair in zip(questions, vectors, strict=True)]
        added = [_ms(mem0.add, *pair) for pair in given[size : size + _MEM0_ADDS]]
        mem0.close()
    return {"mem0_ms_p50": float(np.median(ranked)), "mem0_add_ms": float(np.mean(added))}


def _mem0(dim: int) -> Mem0 | None:
    try:
        return Mem0(dim)
    except ImportError:
        return None


def _ms(call: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    call(*arguments)
    return (time.perf_counter() - began) * 1000


async def cold(embedder: StaticEmbedder) -> dict[str, float]:
    """The time to build an index of 10,000 messages from Redis in a new worker."""
    stored = await entries(_COLD, embedder)
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedRedis(Path(folder)) as redis:
            connection = Connection(redis.url, timeout=timedelta(seconds=30))
            store, user = RedisStore(connection, embedder_tag=embedder.tag), User("cold")
            for start in range(0, _COLD, 40):
                batch = stored[start : start + 40]
                messages = [
                    (e.message, None if e.vector is None else e.vector.astype(np.float32))
                    for e in batch
                ]
                await store.transcripts.commit(
                    user, Session(batch[0].session_id, 1.0, 1.0), messages, create=True
                )
            times: list[float] = []
            text_pipeline = TextPipeline.for_language()
            for _ in range(3):
                indexes = IndexCache(store, lambda: UserIndex(text_pipeline), max_bytes=4 << 30)
                began = time.perf_counter()
                changes = await store.transcripts.changes_since(user, Cursor())
                index = (await indexes.catch_up(user, changes)).index
                times.append((time.perf_counter() - began) * 1000)
                assert len(index) == _COLD
            await connection.aclose()
    return {"messages": _COLD, "cold_ms": min(times)}


def show(rows: list[dict[str, float]], first: dict[str, float]) -> None:
    """Print the figures."""
    table = Table(title="Recall, LangChain-community's FAISS store and mem0, on one core")
    heads = ("rank ms p50", "p99", "FAISS store", "mem0", "add ms", "FAISS store", "mem0")
    for head in ("messages", *heads, "bytes each"):
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(
            f"{row['messages']:,.0f}",
            *(f"{row[name]:.2f}" for name in _RANKS),
            *(f"{row[name]:.3f}" for name in ("add_ms", "faiss_store_add_ms", "mem0_add_ms")),
            f"{row['bytes_each']:,.0f}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"Building an index of {first['messages']:,.0f} messages: {first['cold_ms']:.0f} ms"
    )


async def main() -> None:
    """Measure, print the figures, and write them if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="skip 100,000 messages")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    faiss.omp_set_num_threads(1)
    embedder = StaticEmbedder()
    sizes = _QUICK_SIZES if options.quick else _SIZES
    rows: list[dict[str, Any]] = [await measure(size, embedder) for size in sizes]
    first = await cold(embedder)  # last: memory that it frees would hide the size of an index
    show(rows, first)
    if options.json:
        options.json.write_text(json.dumps({"sizes": rows, "cold": first}, indent=2) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
