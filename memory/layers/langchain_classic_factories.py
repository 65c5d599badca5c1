"""Creates LangChain's classic memories with Onionskin's embedder and any chat model."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, get_buffer_string
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.vectorstores import InMemoryVectorStore

from onionskin.memory.errors import ConfigurationError
from onionskin.memory.retrieval import Embedder
from onionskin.memory.store import RedisStore
from onionskin.memory.tokens import count_tokens

if TYPE_CHECKING:
    from onionskin.memory.vector_databases.mirror import VectorDatabaseMirror

EVENT_LOOP: ContextVar[asyncio.AbstractEventLoop] = ContextVar("event_loop")
"""Event loop of the embedder; set before a memory runs in a thread."""

WITH_MODEL = {
    "ConversationTokenBufferMemory",
    "ConversationSummaryMemory",
    "ConversationSummaryBufferMemory",
    "ConversationEntityMemory",
    "ConversationKGMemory",
    "CombinedMemory",
}
_INPUT, _OUTPUT = "input", "output"


class ClassicOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[profiles.<name>.classic]`; `k` and `max_token_limit` apply to classes that have them."""

    memory: str = "ConversationBufferMemory"
    k: Annotated[int, msgspec.Meta(ge=1)] = 5
    max_token_limit: Annotated[int, msgspec.Meta(ge=1)] = 2000
    budget_tokens: Annotated[int, msgspec.Meta(ge=1)] = 100_000

    def __post_init__(self) -> None:
        if self.memory not in _FACTORIES:
            raise ValueError(
                f"no classic memory {self.memory!r}; there are: {', '.join(_FACTORIES)}. Another "
                "class of memory can be a layer by its path, such as 'my_module.MyMemory'"
            )


@dataclass(frozen=True, slots=True)
class Sources:
    """Dependencies of layers.

    Attributes:
        store: Access to Redis.
        embedder: Embeds texts and queries.
        model: Chat model, for classic memories that need one.
        vector_database: External vector database behind the vector layer, if configured.
    """

    store: RedisStore
    embedder: Embedder
    model: BaseChatModel | None = None
    vector_database: "VectorDatabaseMirror | None" = None


class _BlockingEmbeddings(Embeddings):
    """Onionskin's embedder for LangChain's synchronous memories, which run in a thread."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed on the event loop, from its thread."""
        future = asyncio.run_coroutine_threadsafe(self._embedder.embed(texts), EVENT_LOOP.get())
        return np.asarray(future.result()).tolist()

    def embed_query(self, text: str) -> list[float]:
        """Embed one text."""
        return self.embed_documents([text])[0]


class TokenEstimatingModel(BaseChatModel):
    """The chat model with estimated token counts: a provider's tokenizer needs the network."""

    inner: BaseChatModel

    @property
    def _llm_type(self) -> str:
        return "onionskin-counting"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del run_manager, kwargs
        answer = self.inner.invoke(messages, stop=stop)
        message = AIMessage(str(answer.text), usage_metadata=answer.usage_metadata)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def get_num_tokens(self, text: str) -> int:
        """The same estimate as for budgets."""
        return count_tokens(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """The estimate for messages."""
        del tools
        return count_tokens(get_buffer_string(messages))


def _buffer(_: ClassicOptions, __: Sources) -> Any:
    from langchain_classic.memory import ConversationBufferMemory  # noqa: PLC0415

    return ConversationBufferMemory(input_key=_INPUT, output_key=_OUTPUT)


def _window(options: ClassicOptions, _: Sources) -> Any:
    from langchain_classic.memory import ConversationBufferWindowMemory  # noqa: PLC0415

    return ConversationBufferWindowMemory(k=options.k, input_key=_INPUT, output_key=_OUTPUT)


def _with_model(options: ClassicOptions, sources: Sources) -> Any:
    import langchain_classic.memory as classic  # noqa: PLC0415

    if sources.model is None:
        raise ConfigurationError(f"{options.memory} needs a chat model; none is configured.")
    limits: dict[str, Any] = {"input_key": _INPUT, "output_key": _OUTPUT}
    if options.memory in {"ConversationTokenBufferMemory", "ConversationSummaryBufferMemory"}:
        limits["max_token_limit"] = options.max_token_limit
    if options.memory == "ConversationEntityMemory":
        limits["k"] = options.k
    return getattr(classic, options.memory)(llm=TokenEstimatingModel(inner=sources.model), **limits)


def _vector(options: ClassicOptions, sources: Sources, key: str = "history") -> Any:
    from langchain_classic.memory import VectorStoreRetrieverMemory  # noqa: PLC0415

    store = InMemoryVectorStore(_BlockingEmbeddings(sources.embedder))
    retriever = store.as_retriever(search_kwargs={"k": options.k})
    return VectorStoreRetrieverMemory(retriever=retriever, memory_key=key, input_key=_INPUT)


def _knowledge_graph(options: ClassicOptions, sources: Sources) -> Any:
    """LangChain's knowledge graph of triples, which networkx holds."""
    if sources.model is None:
        raise ConfigurationError(f"{options.memory} needs a chat model; none is configured.")
    graph_memory: Any = getattr(import_module("langchain_community.memory.kg"), options.memory)
    return graph_memory(
        llm=TokenEstimatingModel(inner=sources.model),
        k=options.k,
        input_key=_INPUT,
        output_key=_OUTPUT,
    )


def _combined(options: ClassicOptions, sources: Sources) -> Any:
    """The usual combination: a window, a summary and a vector store."""
    import langchain_classic.memory as classic  # noqa: PLC0415

    if sources.model is None:
        raise ConfigurationError("CombinedMemory needs a chat model; none is configured.")
    keys: dict[str, Any] = {"input_key": _INPUT, "output_key": _OUTPUT}
    return classic.CombinedMemory(
        memories=[
            classic.ConversationBufferWindowMemory(k=options.k, memory_key="window", **keys),
            classic.ConversationSummaryMemory(
                llm=TokenEstimatingModel(inner=sources.model), memory_key="summary", **keys
            ),
            _vector(options, sources, key="recalled"),
        ]
    )


def check_packages(options: ClassicOptions) -> None:
    """Raise ConfigurationError if a memory needs a package that is not installed."""
    if options.memory == "ConversationKGMemory" and find_spec("networkx") is None:
        raise ConfigurationError("ConversationKGMemory needs networkx: pip install networkx.")


def load_classic() -> None:
    """Import the classes before warnings are silenced, because the import enables them again."""
    import_module("langchain_classic.memory")


def make_memory(options: ClassicOptions, sources: Sources) -> Any:
    """A new, empty memory.

    Raises:
        ConfigurationError: The memory needs a chat model and none is configured.
    """
    return _FACTORIES[options.memory](options, sources)


_FACTORIES: dict[str, Any] = {
    "ConversationBufferMemory": _buffer,
    "ConversationBufferWindowMemory": _window,
    "ConversationTokenBufferMemory": _with_model,
    "ConversationSummaryMemory": _with_model,
    "ConversationSummaryBufferMemory": _with_model,
    "ConversationEntityMemory": _with_model,
    "ConversationKGMemory": _knowledge_graph,
    "VectorStoreRetrieverMemory": _vector,
    "CombinedMemory": _combined,
}
