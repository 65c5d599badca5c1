"""Embedders: the built-in static model, OpenAI's, or any LangChain `Embeddings` by dotted path."""

import hashlib
import importlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from langchain_core.embeddings import Embeddings
from pydantic import SecretStr

from onionskin.memory.errors import ConfigurationError, EmbedderError
from onionskin.memory.http_limits import response_limit_hooks
from onionskin.memory.retrieval.embedders.base import Embedder
from onionskin.memory.retrieval.embedders.static import StaticModel
from onionskin.memory.types.messages import Vectors

_STATIC = Path(__file__).with_name("static")
_REQUEST_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class EmbedderOptions:
    """Connection to a remote embedder; the built-in one needs none."""

    api_key: SecretStr | None = None
    base_url: str | None = None


class StaticEmbedder:
    """The built-in model: the mean of token vectors distilled from all-MiniLM-L6-v2.

    Source: model2vec (Tulkens and van Dongen, 2024); see `static/PROVENANCE.md`.
    """

    local = True

    def __init__(self, directory: Path = _STATIC) -> None:
        self._model = StaticModel(directory)
        weights = (directory / "model.safetensors").read_bytes()
        self.tag = f"static-{hashlib.sha256(weights).hexdigest()[:8]}"

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """`(n, dim)` float32; a text without any known token becomes the zero vector."""
        return self.encode(texts)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """As `embed`, for callers that do not wait."""
        return self._model.encode(texts)


def passage_encoder(embedder: Embedder) -> Callable[[Sequence[str]], Vectors] | None:
    """Embeds passages at once where an index needs them; None if the embedder is remote."""
    return embedder.encode if isinstance(embedder, StaticEmbedder) else None


class LangChainEmbedder:
    """Any LangChain `Embeddings`, normalised to unit length and checked for one dimension.

    Args:
        embeddings: The provider's client.
        tag: Identifier stored with its vectors.
    """

    local = False

    def __init__(self, embeddings: Embeddings, tag: str) -> None:
        self._embeddings, self.tag = embeddings, tag
        self._dimension = 0  # set by the first response

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """`(n, dim)` float32; one finite, nonzero row per text, all of one dimension."""
        try:
            rows = await self._embeddings.aembed_documents(list(texts))
            vectors = np.array(rows, dtype=np.float64)
        except Exception as error:  # each provider has its own error types
            raise EmbedderError(
                f"The embedder {self.tag!r} failed: {type(error).__name__}."
            ) from error
        fits = vectors.ndim == 2 and len(vectors) == len(texts) and vectors.size  # noqa: PLR2004
        if not fits or vectors.shape[1] != (self._dimension or vectors.shape[1]):
            raise EmbedderError(
                f"The embedder {self.tag!r} answered {len(texts)} texts with an array of shape "
                f"{vectors.shape!r}; its dimension was {self._dimension or 'not known yet'}. "
                "Check ONIONSKIN_EMBEDDER."
            )
        largest = np.abs(vectors).max(axis=1, keepdims=True)
        if not np.isfinite(largest).all() or not largest.all():
            raise EmbedderError(
                f"The embedder {self.tag!r} answered with vectors that are zero or not finite. "
                "Check ONIONSKIN_EMBEDDER."
            )
        self._dimension = vectors.shape[1]
        vectors /= largest  # avoids overflow and underflow of the squares
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@asynccontextmanager
async def open_embedder(name: str, options: EmbedderOptions) -> AsyncGenerator[Embedder]:
    """The embedder that a setting names; its connections are closed on exit.

    Args:
        name: `static`, `openai`, `openai:<model>`, or the dotted path of an `Embeddings` class or
            factory, such as `my_package.my_module.MyEmbeddings`.
        options: Connection to a remote embedder.

    Raises:
        ConfigurationError: The name is unknown, or the embedder cannot be created.
    """
    kind, _, model = name.partition(":")
    if kind == "static":
        yield StaticEmbedder()
    elif kind == "openai":
        async with _openai(model, options) as embedder:
            yield embedder
    elif "." in kind:
        yield _from_dotted_path(name)
    else:
        raise ConfigurationError(
            f"No embedder {name!r}; use 'static', 'openai', 'openai:<model>', or the dotted path "
            "of a LangChain Embeddings class."
        )


@asynccontextmanager
async def _openai(model: str, options: EmbedderOptions) -> AsyncGenerator[Embedder]:
    if options.api_key is None and options.base_url is None:
        raise ConfigurationError("The embedder 'openai' needs OPENAI_API_KEY.")
    import openai  # noqa: PLC0415 - slow to import, rarely needed
    from langchain_openai import OpenAIEmbeddings  # noqa: PLC0415

    async with openai.DefaultAsyncHttpxClient(event_hooks=response_limit_hooks()) as client:
        embeddings = OpenAIEmbeddings(
            model=model or "text-embedding-3-small",
            api_key=options.api_key or SecretStr("none"),
            base_url=options.base_url,
            timeout=_REQUEST_SECONDS,
            check_embedding_ctx_length=False,  # it would download tiktoken's tables
            http_async_client=client,
        )
        yield LangChainEmbedder(embeddings, f"openai:{embeddings.model}")


def _from_dotted_path(path: str) -> Embedder:
    module, _, name = path.replace(":", ".").rpartition(".")
    try:
        embeddings: object = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigurationError(f"The embedder {path!r} cannot be created: {error}.") from error
    if not isinstance(embeddings, Embeddings):
        raise ConfigurationError(f"{path!r} does not make a LangChain Embeddings.")
    return LangChainEmbedder(embeddings, path)
