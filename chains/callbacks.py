"""A chat model whose every call is told, however LangChain comes to call it.

Whether anybody is told of a run: what LangChain does for handlers costs more than the rest.
"""

from contextlib import AbstractContextManager
from typing import Any, cast
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler, Callbacks
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from onionskin.chains.observers import CallPurpose, ModelCall


def with_observer(model: BaseChatModel, purpose: CallPurpose) -> BaseChatModel:
    """The same model; its calls are told to the purpose's observer.

    It is for calls that others make, such as LangChain's classic memories in their threads. Of an
    asynchronous call that is cancelled LangChain tells nothing; `onionskin.chains.generation` does.
    """
    known = model.callbacks
    handlers: list[BaseCallbackHandler] = [*known] if isinstance(known, list) else []
    return model.model_copy(update={"callbacks": [*handlers, _Calls(model, purpose)]})


class _Calls(BaseCallbackHandler):
    run_inline = True
    raise_error = True  # an observer may refuse a call

    def __init__(self, model: BaseChatModel, purpose: CallPurpose) -> None:
        self._model, self._purpose = model, purpose
        self._under_way: dict[UUID, tuple[ModelCall, AbstractContextManager[object]]] = {}

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        """A call begins."""
        del serialized, kwargs
        call = self._purpose.call(self._model, messages[0])
        standing = self._purpose.observer.model_call(call)
        standing.__enter__()
        self._under_way[run_id] = (call, standing)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """It was answered."""
        del kwargs
        call, standing = self._under_way.pop(run_id)
        for generation in response.generations[0][:1]:
            if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
                call.message = generation.message
        standing.__exit__(None, None, None)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It failed."""
        del kwargs
        _, standing = self._under_way.pop(run_id)
        try:
            standing.__exit__(type(error), error, error.__traceback__)
        except BaseException as same:
            if same is not error:
                raise


def has_no_callbacks(
    config: RunnableConfig | None, callbacks: Callbacks = None, *, verbose: bool = False
) -> bool:
    """Whether a run has no handler: none of its own, none around it, neither LangSmith nor debug.

    Args:
        config: of the run.
        callbacks: of the model or chain itself.
        verbose: whether that prints what it does.
    """
    if isinstance(cast("object", config), _SilentConfig) and not callbacks and not verbose:
        return True
    given = ensure_config(config).get("callbacks")
    return not AsyncCallbackManager.configure(given, callbacks, verbose).handlers


def without_callbacks(config: RunnableConfig | None) -> RunnableConfig:
    """The config of a run that is unheard, for the runs within it: they need not look again."""
    return cast("RunnableConfig", _SilentConfig(ensure_config(config).items()))


class _SilentConfig(dict[str, Any]):
    """A config of which it is known that nobody hears of its run."""
