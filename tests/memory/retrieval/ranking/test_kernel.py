"""The compiled ranking says what NumPy says, refuses what does not fit, and can be done without."""

import random
import shutil
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onionskin.benchmarks.recall_speed import texts
from onionskin.memory.retrieval import StaticEmbedder, TextPipeline, UserIndex
from onionskin.memory.retrieval.ranking import ranker as compiled
from onionskin.memory.retrieval.ranking.weights import hand_made
from onionskin.memory.types.messages import Entry, Message, Vector
from scripts.build_kernel import compile_kernel
from tests.conftest import repository

_ROOT = repository()


async def _index(embedder: StaticEmbedder, count: int) -> UserIndex:
    """Messages of five sessions side by side, some asking, some without a vector, some deleted."""
    index = UserIndex(TextPipeline.for_language(), weights=hand_made())
    said, draw = texts(count, count), random.Random(count)
    positions = [0] * 5
    for place, vector in enumerate(await embedder.embed(said)):
        session = draw.randrange(5)
        author, at = ("Ana", "Ben")[place % 2], 1_680_000_000.0 + 9_000 * place
        when = " It was yesterday." if place % 9 == 0 else ""
        message = Message("user", said[place] + when, at, author)
        kept = vector.astype(np.float16) if place % 11 else None
        index.put(Entry(f"s_{session}", positions[session], message, kept))
        positions[session] += 1
    index.drop_session("s_3")
    return index


async def _questions(embedder: StaticEmbedder) -> list[tuple[str, Vector | None]]:
    asked = [*texts(12, 99), "When was it yesterday?", "What did Ana say in May 2023?", "xyzzy", ""]
    vectors = await embedder.embed(asked)
    return [
        (one, given) for one, held in zip(asked, vectors, strict=True) for given in (held, None)
    ]


@pytest.mark.parametrize("count", [1, 60, 399, 401, 2600])
async def test_it_says_what_numpy_says(
    embedder: StaticEmbedder, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compiled.is_compiled() or shutil.which("cc") is None
    index = await _index(embedder, count)
    for query, vector in await _questions(embedder):
        fast = index.ranker.rank(query, vector, now=None)
        with monkeypatch.context() as without:
            without.setattr(compiled, "kernel_rank", None)
            slow = index.ranker.rank(query, vector, now=None)
        if fast is None or slow is None:
            assert fast is slow
            continue
        assert fast.rows.tolist() == slow.rows.tolist()
        np.testing.assert_allclose(fast.features, slow.features, atol=3e-4)
        np.testing.assert_allclose(fast.scores, slow.scores, atol=1e-3)


async def test_a_prefetched_ranking_is_computed_again_when_a_vector_arrives(
    embedder: StaticEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, other = [await _index(embedder, 60) for _ in range(2)]
    query, vector = "the garden", (await embedder.embed(["the garden"]))[0]
    index.ranker.rank(query, vector, now=None)
    late = await embedder.embed(texts(6, 5))
    for one in (index, other):
        for entry, held in zip(one.unembedded, late, strict=False):
            kept = held.astype(np.float16)
            one.put(Entry(entry.session_id, entry.position, entry.message, kept))
    fast = index.ranker.rank(query, vector, now=None)
    monkeypatch.setattr(compiled, "kernel_rank", None)
    slow = other.ranker.rank(query, vector, now=None)
    assert fast
    assert slow
    np.testing.assert_allclose(fast.features, slow.features, atol=3e-4)


def _given() -> list[Any]:
    """What the kernel takes: two messages of one session, the first holding the one term."""
    return [
        [array("I", [0])],
        [array("H", [2])],
        np.array([-1, 0]),
        np.array([1, -1]),
        np.zeros((2, 8), np.float32),
        np.full(2, np.nan, np.float32),
        np.empty(0, np.int64),
        array("q", [0, 1]),
        np.array([1, 0], np.float32),
        np.array([255, 128, 128, 255], np.uint8),
        np.array([0, 1]),
        False,
        len(compiled.KERNEL_FEATURES),
        np.arange(len(compiled.KERNEL_FEATURES), dtype=np.int32),
    ]


def test_two_messages() -> None:
    rank = compiled.kernel_rank
    assert rank
    rows, parts = rank(*_given())
    table = np.frombuffer(parts, np.float32).reshape(2, -1)
    assert np.frombuffer(rows, np.int64).tolist() == [0, 1]
    named = {name: table[:, place].tolist() for place, name in enumerate(compiled.KERNEL_FEATURES)}
    assert named["words"] == [1, 0]
    assert named["words_around"] == [1, 1]
    assert named["cosine"] == [1, 0]
    assert named["meaning_around"] == [1, 0]


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (0, [array("I", [7])]),
        (0, [array("I", [0, 1])]),
        (0, []),
        (0, "text"),
        (0, [array("q", [0])]),
        (1, [array("I", [2])]),
        (2, np.array([-1.0, 0.0])),
        (2, np.array([-1, 0, 1])),
        (3, [1, -1]),
        (4, np.zeros((2, 7), np.float32)),
        (5, np.zeros(3, np.float32)),
        (5, b"12345678"),
        (8, np.array([1, 0, 0], np.float32)),
        (8, np.array([1, 0])),
        (9, None),
        (10, np.array([0, 1], np.int32)),
        (12, 3),
        (12, "3"),
        (13, np.arange(5, dtype=np.int32)),
        (13, np.full(len(compiled.KERNEL_FEATURES), -1, np.int32)),
    ],
)
def test_what_does_not_fit_is_refused(place: int, wrong: object) -> None:
    rank = compiled.kernel_rank
    assert rank
    given = _given()
    given[place] = wrong
    with pytest.raises((TypeError, ValueError, BufferError)):
        rank(*given)
    with pytest.raises(TypeError, match="14 arguments"):
        rank(*given[:-1])


def test_rows_that_are_none_lead_nowhere() -> None:
    rank = compiled.kernel_rank
    assert rank
    given = _given()
    given[2], given[3] = np.array([9, -7]), np.array([2**40, 5])
    given[6], given[7] = np.array([77, -3]), array("q", [12, 2**40])
    given[10] = np.array([-1, 99])
    rows, _ = rank(*given)
    assert np.frombuffer(rows, np.int64).tolist() == [0, 1]


def test_it_is_compiled_where_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(
        _ROOT / "memory/retrieval/ranking/kernel", tmp_path / "memory/retrieval/ranking/kernel"
    )
    monkeypatch.delenv("CC", raising=False)
    built = tmp_path / "memory/retrieval/ranking/_kernel.abi3.so"
    assert compile_kernel(tmp_path) == ""
    assert built.stat().st_size > 10_000
    monkeypatch.setattr("sysconfig.get_config_var", {"CC": "no-such-compiler -pthread"}.get)
    assert compile_kernel(tmp_path) == (
        "no-such-compiler cannot be started (No such file or directory)"
    )
    assert not built.exists()
    monkeypatch.undo()
    (tmp_path / "memory/retrieval/ranking/kernel/features.c").write_text("this is not C")
    assert "error" in compile_kernel(tmp_path)
    assert not list(built.parent.glob("_kernel*"))
