"""Embedders: the built-in one, any of LangChain's by dotted path, and ones that answer nonsense."""

from functools import cache
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings
from tokenizers import Tokenizer

from onionskin.memory.errors import ConfigurationError, EmbedderError
from onionskin.memory.retrieval import (
    EmbedderOptions,
    LangChainEmbedder,
    StaticEmbedder,
    open_embedder,
)
from onionskin.memory.retrieval.embedders.static import StaticModel

_NO_OPTIONS = EmbedderOptions()


@cache
def _model() -> tuple[StaticModel, Tokenizer]:
    path = files("onionskin.memory.retrieval.embedders").joinpath("static/tokenizer.json")
    tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    tokenizer.encode_special_tokens = True
    return StaticModel(), tokenizer


class LengthEmbeddings(Embeddings):
    """Embeds a text as its length, far from unit length."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(len(text)), 3.0] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class Saying(LengthEmbeddings):
    """Returns the given vectors."""

    def __init__(self, rows: list[list[float]]) -> None:
        self.rows = rows

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.rows


async def test_the_built_in_model_gives_unit_vectors(embedder: StaticEmbedder) -> None:
    vectors = await embedder.embed(["My dog is called Biscuit.", "猫", "x" * 100_000])
    assert vectors.shape == (3, 256)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors[0]) == pytest.approx(1.0, abs=1e-5)
    assert (await embedder.embed([])).shape == (0, 256)
    assert np.isfinite(await embedder.embed(["", "\0", "🜁"])).all()


@given(st.text(st.characters(max_codepoint=127)))
@example("Don't_stop\x0bme\x00now\r\n\tit's 3.5% (of) `x`; ~/a-b@c.d " + "x" * 120)
@example("[UNK] and [PAD] are words, too")
@example("pneumonoultramicroscopic " * 300)
def test_ascii_is_split_as_the_tokenizer_splits_it(text: str) -> None:
    model, tokenizer = _model()
    tokens = tokenizer.encode(text, add_special_tokens=False).ids[:512]
    unknown = tokenizer.token_to_id("[UNK]")
    assert model.tokens([text]) == [[token for token in tokens if token != unknown]]


def test_a_special_token_in_a_text_is_text_in_every_script() -> None:
    model, tokenizer = _model()
    plain, accented = model.tokens(["a [PAD] cafe [UNK]", "a [PAD] café [UNK]"])
    assert plain == accented
    assert tokenizer.token_to_id("[PAD]") not in plain


async def test_what_means_the_same_is_near(embedder: StaticEmbedder) -> None:
    dog, puppy, tax = await embedder.embed(["a small dog", "a little puppy", "the tax office"])
    assert dog @ puppy > dog @ tax + 0.2


async def test_the_tag_follows_the_weights(embedder: StaticEmbedder) -> None:
    assert embedder.tag.startswith("static-")
    assert StaticEmbedder().tag == embedder.tag


async def test_any_langchain_embeddings_by_dotted_path() -> None:
    path = f"{__name__}.LengthEmbeddings"
    async with open_embedder(path, _NO_OPTIONS) as embedder:
        assert embedder.tag == path
        assert not embedder.local
        vectors = await embedder.embed(["1234", "x"])
    assert np.allclose(vectors, [[0.8, 0.6], [0.3162278, 0.9486833]])


@pytest.mark.parametrize(
    "name", ["nonsense", "no.such.Thing", "json.loads", "json.JSONDecoder", "openai"]
)
async def test_an_embedder_that_cannot_be_made_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name.partition(".")[0]):
        async with open_embedder(name, _NO_OPTIONS):
            pass


@pytest.mark.parametrize(
    "rows",
    [
        *([], [[1.0]], [[1.0], [2.0, 3.0]], [[1.0], [1.0], [1.0]], [[], []], "nonsense"),
        *([[float("nan")], [1.0]], [[float("inf")], [1.0]], [[0.0], [1.0]]),
    ],
)
async def test_nonsense_is_never_taken_for_vectors(rows: list[list[float]]) -> None:
    embedder = LangChainEmbedder(Saying(rows), "saying")
    with pytest.raises(EmbedderError, match="saying"):
        await embedder.embed(["one", "two"])


async def test_vectors_of_another_dimension_are_refused() -> None:
    saying = Saying([[1.0, 0.0, 0.0]])
    embedder = LangChainEmbedder(saying, "saying")
    await embedder.embed(["one"])
    saying.rows = [[1.0, 0.5]]
    with pytest.raises(EmbedderError, match="dimension was 3"):
        await embedder.embed(["one"])
    saying.rows = [[0.0, 1.0, 0.0]]
    assert (await embedder.embed(["one"])).shape == (1, 3)


async def test_neither_huge_nor_tiny_values_are_lost() -> None:
    embedder = LangChainEmbedder(Saying([[3e200, 4e200], [3e-200, 4e-200]]), "saying")
    assert np.allclose(await embedder.embed(["one", "two"]), [[0.6, 0.8], [0.6, 0.8]])
