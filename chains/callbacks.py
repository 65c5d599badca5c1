"""LangChain's callbacks: observing calls through them, and running without them.

The work that LangChain does for handlers costs more than the rest of a turn, so a run without any
skips it. Turns with private text must not reach handlers at all.
"""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler, Callbacks
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langsmith import tracing_context  # pyright: ignore[reportUnknownVariableType]

from onionskin.chains.observers import ModelCall, TurnObserver


def with_observer(
    model: BaseChatModel,
    observer: TurnObserver,
    *,
    purpose: str,
    innermost: BaseChatModel | None = None,
) -> BaseChatModel:
    """A copy of the model whose calls are observed, no matter who makes them.

    For calls by LangChain's own code, such as its classic memories in their threads. LangChain
    reports nothing when an asynchronous call is cancelled; `onionskin.chains.generation` does.

    Args:
        model: The model.
        observer: Observes the calls.
        purpose: Name of the purpose of the calls.
        innermost: The model that observers see; None for `model` itself.
    """
    handlers = model.callbacks if isinstance(model.callbacks, list) else []
    handler = _ObservingHandler(innermost or model, observer, purpose)
    return model.model_copy(update={"callbacks": [*handlers, handler]})


class _ObservingHandler(BaseCallbackHandler):
    run_inline = True

    def __init__(self, model: BaseChatModel, observer: TurnObserver, purpose: str) -> None:
        self._model, self._observer, self._purpose = model, observer, purpose
        self._running: dict[UUID, tuple[ModelCall, AbstractContextManager[object]]] = {}

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        """Enters the observer's context."""
        del serialized, kwargs
        call = ModelCall(self._purpose, self._model, messages[0])
        context = self._observer.model_call(call)
        context.__enter__()
        self._running[run_id] = (call, context)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Leaves the observer's context with the answer."""
        del kwargs
        call, context = self._running.pop(run_id)
        for generation in response.generations[0][:1]:
            if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
                call.message = generation.message
        context.__exit__(None, None, None)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Leaves the observer's context with the error."""
        del kwargs
        _, context = self._running.pop(run_id)
        try:
            context.__exit__(type(error), error, error.__traceback__)
        except BaseException as raised:
            if raised is not error:
                raise


def has_no_callbacks(
    config: RunnableConfig | None, callbacks: Callbacks = None, *, verbose: bool = False
) -> bool:
    """Whether a run has no handler: neither its own, nor an outer run's, LangSmith's or debug's.

    Args:
        config: The run's config.
        callbacks: Callbacks of the model or chain itself.
        verbose: Whether the model or chain prints its progress.
    """
    if isinstance(cast("object", config), _SilentConfig) and not callbacks and not verbose:
        return True
    inherited = ensure_config(config).get("callbacks")
    return not AsyncCallbackManager.configure(inherited, callbacks, verbose).handlers


def without_callbacks(config: RunnableConfig | None) -> RunnableConfig:
    """The config of a run without handlers; runs inside it need not look for any again."""
    return cast("RunnableConfig", _SilentConfig(ensure_config(config).items()))


class _SilentConfig(dict[str, Any]):
    """A config of a run that is known to have no handlers."""


def without_tracing(config: RunnableConfig | None) -> RunnableConfig:
    """The config without callbacks, neither its own nor those of an outer chain."""
    return {**(config or {}), "callbacks": []}


@contextmanager
def tracing_disabled() -> Generator[None]:
    """A context without LangSmith's tracing, which environment variables may switch on."""
    with tracing_context(enabled=False):
        yield
