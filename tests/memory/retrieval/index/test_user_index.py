"""One user's index: dense and lexical, incremental, with deletions."""

import random

import numpy as np
import pytest

from onionskin.memory.retrieval import StaticEmbedder, TextPipeline, UserIndex
from onionskin.memory.retrieval.ranking.weights import GROUPS
from onionskin.memory.types.messages import Entry, Message

_FACTS = (
    "My dog is called Biscuit; he is a beagle.",
    "I am allergic to peanuts.",
    "The train to Porto leaves at nine.",
    "We painted the kitchen yellow last spring.",
    "My sister plays the cello in an orchestra.",
)


def _entry(position: int, text: str, session: str = "s_1", author: str | None = None) -> Entry:
    return Entry(session, position, Message("user", text, 1000.0 + position, author))


async def _filled(embedder: StaticEmbedder, texts: tuple[str, ...] = _FACTS) -> UserIndex:
    index = UserIndex(TextPipeline.for_language())
    vectors = await embedder.embed(texts)
    for position, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
        entry = _entry(position, text)
        index.put(Entry("s_1", position, entry.message, vector.astype(np.float16)))
    return index


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("What is the name of my dog?", 0),
        ("Which foods must I avoid?", 1),
        ("when does the train go", 2),
        ("What colour did we paint the kitchen?", 3),
        ("Who plays an instrument?", 4),
    ],
)
async def test_the_message_that_answers_comes_first(
    embedder: StaticEmbedder, query: str, expected: int
) -> None:
    index = await _filled(embedder)
    hits = index.search(query, (await embedder.embed([query]))[0], top_k=3)
    assert hits[0].entry.position == expected


async def test_a_score_is_the_sum_of_its_parts(embedder: StaticEmbedder) -> None:
    index = await _filled(embedder)
    hits = index.search("dog", (await embedder.embed(["dog"]))[0], top_k=5)
    assert {"words", "meaning"} <= set(hits[0].parts)
    for hit in hits:
        assert set(hit.parts) <= {*GROUPS}
        assert hit.score == pytest.approx(sum(hit.parts.values()), abs=1e-3)


async def test_words_serve_where_there_is_no_vector(embedder: StaticEmbedder) -> None:
    index = UserIndex(TextPipeline.for_language())
    for position, text in enumerate(_FACTS):
        index.put(_entry(position, text))
    assert index.search("peanuts", None, top_k=1)[0].entry.position == 1
    assert [entry.position for entry in index.unembedded] == [0, 1, 2, 3, 4]
    vector = (await embedder.embed([_FACTS[0]]))[0].astype(np.float16)
    index.put(Entry("s_1", 0, _entry(0, _FACTS[0]).message, vector))
    assert len(index) == 5
    assert [entry.position for entry in index.unembedded] == [1, 2, 3, 4]


async def test_what_is_excluded_or_dropped_is_not_found(embedder: StaticEmbedder) -> None:
    index = await _filled(embedder)
    index.put(_entry(0, "My dog is called Rex.", session="s_2"))
    vector = (await embedder.embed(["dog"]))[0]
    found = index.search("dog", vector, top_k=5, exclude={"s_1:0"})
    assert "s_1:0" not in {hit.entry.id for hit in found}
    index.drop_session("s_1")
    assert {hit.entry.session_id for hit in index.search("dog", vector, top_k=5)} == {"s_2"}
    assert len(index) == 1
    assert index.dead_share == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    "query",
    ["", "???", "qwxyz", "the of and", "\x00", "犬", "a" * 50_000, "9" * 5000 + " days ago"],
)
async def test_a_query_of_no_known_word_is_answered_by_meaning_or_not_at_all(
    embedder: StaticEmbedder, query: str
) -> None:
    index = await _filled(embedder)
    vector = (await embedder.embed([query]))[0]
    for found in (index.search(query, vector, top_k=9), index.search(query, None, top_k=9)):
        assert all(np.isfinite(hit.score) for hit in found)
        assert len(found) <= 5


async def test_putting_twice_changes_nothing(embedder: StaticEmbedder) -> None:
    index, again = await _filled(embedder), await _filled(embedder)
    for position, text in enumerate(_FACTS):
        again.put(_entry(position, text))
    vector = (await embedder.embed(["cello"]))[0]
    assert index.search("cello", vector, top_k=5) == again.search("cello", vector, top_k=5)


@pytest.mark.parametrize("count", [1, 2, 127, 129, 600])
async def test_every_size_is_searched(embedder: StaticEmbedder, count: int) -> None:
    draw = random.Random(count)
    words = ("river", "stone", "lamp", "winter", "violin", "bread", "harbour", "cloud")
    texts = [" ".join(draw.choices(words, k=6)) for _ in range(count - 1)]
    texts.insert(count // 2, "the zebra crossed quietly")
    index = await _filled(embedder, tuple(texts))
    vector = (await embedder.embed(["zebra"]))[0]
    hits = index.search("zebra", vector, top_k=1)
    assert count == 1 or hits[0].entry.position == count // 2


@pytest.mark.parametrize(
    ("language", "text", "query"),
    [
        ("english", "明日は東京で会議があります。", "東京"),
        ("german", "Die Katzen schliefen auf dem Sofa.", "Katze"),
        ("english", "Naïve CAFÉ owners", "café"),
        ("english", "Caroline\u2019s necklace", "Caroline"),
    ],
)
def test_words_of_many_scripts_are_found(language: str, text: str, query: str) -> None:
    index = UserIndex(TextPipeline.for_language(language))
    index.put(_entry(0, "something else entirely"))
    index.put(_entry(1, text))
    assert index.search(query, None, top_k=1)[0].entry.position == 1


def test_the_author_is_part_of_what_is_searched() -> None:
    index = UserIndex(TextPipeline.for_language())
    index.put(_entry(0, "See you on Sunday.", author="Melanie"))
    index.put(_entry(1, "See you on Sunday.", author="Caroline"))
    assert index.search("What did Caroline say?", None, top_k=1)[0].entry.position == 1


async def test_a_large_index_searches_cells_and_goes_on_growing(embedder: StaticEmbedder) -> None:
    draw = random.Random(5)
    words = ("river", "stone", "lamp", "winter", "violin", "bread", "harbour", "cloud", "fox")
    texts = [f"{' '.join(draw.choices(words, k=8))} {number}" for number in range(1500)]
    index, exact = (
        UserIndex(TextPipeline.for_language(), exact_upto=1000),
        UserIndex(TextPipeline.for_language()),
    )
    vectors = await embedder.embed([*texts, "the zebra crossed quietly"])
    for position, (text, vector) in enumerate(zip(texts, vectors[:-1], strict=True)):
        entry = Entry("s_1", position, _entry(position, text).message, vector.astype(np.float16))
        index.put(entry)
        exact.put(entry)
    assert index.outgrown
    assert not exact.outgrown
    index.approximate()
    assert not index.outgrown
    query = (await embedder.embed(["a violin by the river in winter"]))[0]
    found = {hit.entry.id for hit in index.search("?", query, top_k=50)}
    wanted = {hit.entry.id for hit in exact.search("?", query, top_k=50)}
    assert len(found & wanted) > 0.8 * len(wanted)
    last = _entry(1500, "the zebra crossed quietly").message
    index.put(Entry("s_1", 1500, last, vectors[-1].astype(np.float16)))
    vector = (await embedder.embed(["zebra"]))[0]
    assert index.search("?", vector, top_k=1)[0].entry.position == 1500


async def test_what_was_ranked_ahead_is_what_a_search_finds(embedder: StaticEmbedder) -> None:
    index, plain = await _filled(embedder), await _filled(embedder)
    query = "What is my dog called?"
    (vector,) = await embedder.embed([query])
    index.prefetch_ranking(query, vector)
    again = vector.copy()
    assert index.search(query, again, top_k=5) == plain.search(query, vector, top_k=5)
    assert index.search("train", None, top_k=5) == plain.search("train", None, top_k=5)


async def test_what_was_ranked_ahead_is_left_when_the_index_changes(
    embedder: StaticEmbedder,
) -> None:
    index, query = await _filled(embedder), "Is my dog called Bella?"
    asked, said = await embedder.embed([query, "My dog is called Bella."])
    message = Message("user", "My dog is called Bella.", 2000.0)
    newer = Entry("s_2", 0, message, said.astype(np.float16))
    for change, best in (
        (lambda: index.put(newer), "s_2:0"),
        (lambda: index.drop_session("s_2"), "s_1:0"),
    ):
        index.prefetch_ranking(query, asked)
        change()
        assert index.search(query, asked, top_k=1)[0].entry.id == best


async def test_a_deleted_session_takes_up_no_place_of_what_is_left(
    embedder: StaticEmbedder,
) -> None:
    texts = [f"Our beagle Biscuit barked {number} times." for number in range(300)]
    texts += [f"A line on something else, {number}." for number in range(1100)]
    kept = "A dog of this kind came along: a beagle."
    index, vectors = UserIndex(TextPipeline.for_language()), await embedder.embed([*texts, kept])
    for place, (text, vector) in enumerate(zip([*texts, kept], vectors, strict=True)):
        session = "s_gone" if place < 300 else "s_left"
        message = Message("user", text, 1000.0 + place)
        index.put(Entry(session, place, message, vector.astype(np.float16)))
    index.drop_session("s_gone")
    query = "Our beagle Biscuit barked how many times?"
    for vector in (None, (await embedder.embed([query]))[0]):
        assert index.search(query, vector, top_k=1)[0].entry.message.content == kept


async def test_a_question_that_was_asked_before_is_no_answer_to_itself(
    embedder: StaticEmbedder,
) -> None:
    index, query = await _filled(embedder), "What is my dog called?"
    (vector,) = await embedder.embed([query])
    for place, asked in enumerate((query, "what is my dog called? ")):
        message = Message("user", asked, 2000.0 + place)
        index.put(Entry("s_2", place, message, vector.astype(np.float16)))
    assert index.search(query, vector, top_k=1)[0].entry.session_id == "s_2"
    found = index.search(query, vector, top_k=5, exclude_text=query)
    assert found[0].entry.position == 0
    assert {hit.entry.session_id for hit in found} == {"s_1"}
