"""Passages of long messages: how they are split, quoted, indexed, found and deleted."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionskin.memory.layers.base import TurnContext
from onionskin.memory.layers.vector import within_budget
from onionskin.memory.retrieval import Selection, StaticEmbedder, TextPipeline, UserIndex
from onionskin.memory.retrieval.index.passages import (
    LONG_TOKENS,
    excerpt,
    merged,
    passage_texts,
    split,
)
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.messages import Entry, Message, Session, User
from onionskin.memory.types.snapshot import Snapshot

_NEEDLE = "The warranty of the blue espresso machine ends in March 2031."
_QUESTION = "When does the warranty of the espresso machine end?"
_WORDS = (
    "river stone candle orchard violin winter harbour paper lantern meadow copper thread".split()
)


def _prose(characters: int, *, needle: str = "", at: float = 0.5, seed: int = 1) -> str:
    """Sentences of random words, in paragraphs, with one sentence somewhere among them."""
    chosen, sentences = random.Random(seed), list[str]()
    while sum(map(len, sentences)) < characters:
        words = " ".join(chosen.choices(_WORDS, k=9))
        sentences.append(words.capitalize() + chosen.choice([". ", ". ", ".\n\n"]))
    sentences.insert(int(len(sentences) * at), f"{needle} " if needle else "")
    return "".join(sentences)


def _turn() -> TurnContext:
    return TurnContext(User("u"), _QUESTION, 0.0, Snapshot(Session("s_9", 0.0, 0.0), True, ()))


async def _index(
    embedder: StaticEmbedder, *texts: str, derived: bool = True
) -> tuple[UserIndex, list[Entry]]:
    index = UserIndex(TextPipeline.for_language(), encode=embedder.encode if derived else None)
    entries: list[Entry] = []
    for place, text in enumerate(texts):
        vector = (await embedder.embed([text]))[0].astype(np.float16)
        entries.append(Entry("s_1", place, Message("user", text, 1000.0 + place), vector))
    index.put(*entries)
    return index, entries


@given(st.text(alphabet=st.sampled_from("ab .\n。あ"), max_size=4000))
def test_passages_cover_the_text_in_order(text: str) -> None:
    spans = split(text)
    if count_tokens(text) <= LONG_TOKENS:
        assert spans == ()
        return
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    for (start, end), (following, last) in itertools.pairwise(spans):
        assert start < following <= end < last


@pytest.mark.parametrize(
    "text", [_prose(30_000), "x" * 30_000, "吾輩は猫である。" * 2000, "a, " * 9000]
)
def test_passages_have_a_size_that_one_vector_can_cover(text: str) -> None:
    sizes = [count_tokens(text[start:end]) for start, end in split(text)]
    assert max(sizes) <= 330
    assert min(sizes) >= 60


def test_passages_begin_and_end_at_sentences_and_overlap() -> None:
    text = _prose(8000)
    spans = split(text)
    for (_, end), (following, _) in itertools.pairwise(spans):
        assert text[:end].rstrip().endswith(".")
        assert text[:following].rstrip().endswith(".")
    assert sum(end > following for (_, end), (following, _) in itertools.pairwise(spans))


def test_an_excerpt_says_how_much_is_left_out() -> None:
    text = "a" * 1000 + "NEEDLE" + "b" * 2000
    assert merged([(1003, 1010), (1000, 1006)]) == ((1000, 1010),)
    assert excerpt(text, [(1000, 1006)]) == (
        "[... 1,000 characters omitted ...]\nNEEDLE\n[... 2,000 characters omitted ...]"
    )
    assert excerpt(text, [(0, len(text))]) == text


@pytest.mark.parametrize("at", [0.0, 0.3, 0.6, 0.99])
async def test_a_sentence_anywhere_in_a_long_message_is_found(
    embedder: StaticEmbedder, at: float
) -> None:
    texts = [_prose(6500, seed=seed) for seed in range(5)]
    texts[3] = _prose(6500, needle=_NEEDLE, at=at, seed=9)
    index, entries = await _index(embedder, *texts, "I like tea.", "The sky is blue.")
    assert len(index) == len(entries)
    assert index.pending == 0
    vector = (await embedder.embed([_QUESTION]))[0]
    hits = index.search(_QUESTION, vector, top_k=7)
    assert hits[0].entry.id == "s_1:3"
    assert len({hit.entry.id for hit in hits}) == len(hits)
    start, end = hits[0].passages[0]
    assert _NEEDLE in texts[3][start:end]
    assert index.similarities(["s_1:3"], vector)[0] == pytest.approx(
        max(
            float(embedder.encode([text])[0] @ vector) for text in passage_texts(entries[3].message)
        ),
        abs=0.02,
    )


async def test_the_section_quotes_matching_passages_within_its_budget(
    embedder: StaticEmbedder,
) -> None:
    texts = [_prose(13_000, seed=seed) for seed in range(4)]
    texts[2] = _prose(13_000, needle=_NEEDLE, seed=8)
    index, _ = await _index(embedder, *texts, "My espresso machine is blue.")
    vector = (await embedder.embed([_QUESTION]))[0]
    hits = index.search(_QUESTION, vector, top_k=20)
    section = within_budget("vector", _turn(), hits, 1200)
    assert section.tokens <= 1200
    assert (
        sum(count_tokens(hit.entry.message.spoken) + 16 for hit in section.hits) == section.tokens
    )
    (quote,) = [hit for hit in section.hits if hit.entry.id == "s_1:2"]
    assert _NEEDLE in quote.entry.message.content
    assert "characters omitted" in quote.entry.message.content
    assert all(
        texts[2][start:end].strip() in quote.entry.message.content for start, end in quote.spans
    )
    assert quote.parts
    assert "My espresso machine is blue." in [hit.entry.message.content for hit in section.hits]


async def test_the_neighbours_of_a_long_message_are_other_messages(
    embedder: StaticEmbedder,
) -> None:
    index, _ = await _index(
        embedder, "One.", "Two.", _prose(9000, needle=_NEEDLE), "Four.", "Five."
    )
    vector = (await embedder.embed([_QUESTION]))[0]
    selection_hits = index.search(_QUESTION, vector, top_k=1, selection=_around(1))
    assert [entry.message.content for entry in selection_hits[0].context] == ["Two.", "Four."]


async def test_a_deleted_message_leaves_no_passage(embedder: StaticEmbedder) -> None:
    index, entries = await _index(embedder, "Hello.", _prose(9000, needle=_NEEDLE), "Good bye.")
    vector = (await embedder.embed([_QUESTION]))[0]
    index.drop(["s_1:1"])
    assert [hit.entry.id for hit in index.search(_QUESTION, vector, top_k=9)].count("s_1:1") == 0
    assert len(index) == 2
    assert index.unembedded == []
    index.put(entries[1])
    assert index.search(_QUESTION, vector, top_k=1)[0].entry.id == "s_1:1"
    index.drop_session("s_1")
    assert index.search(_QUESTION, vector, top_k=9) == []
    assert len(index) == 0
    assert index.dead_share == 1.0


async def test_vectors_of_passages_replace_that_of_the_beginning(embedder: StaticEmbedder) -> None:
    text = _prose(9000, needle=_NEEDLE, at=0.8)
    index, (entry,) = await _index(embedder, text, derived=False)
    assert [waiting.id for waiting in index.unembedded] == [entry.id]
    vectors = embedder.encode(passage_texts(entry.message)).astype(np.float16)
    index.put(Entry(entry.session_id, entry.position, entry.message, vectors))
    assert index.unembedded == []
    assert index.pending == 0
    vector = (await embedder.embed([_QUESTION]))[0]
    (hit,) = index.search(_QUESTION, vector, top_k=1)
    assert _NEEDLE in text[slice(*hit.passages[0])]


def _around(count: int) -> Selection:
    return Selection(neighbours=count)
