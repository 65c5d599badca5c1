"""A circuit breaker around the chat model: after repeated outages, calls fail at once."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from datetime import timedelta
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import Field

from onionskin.chains.errors import ModelUnavailableError, translate_provider_error
from onionskin.chains.generation import CompletionModel, StructuredRunnable
from onionskin.memory.circuit_breaker import CircuitBreaker


class CircuitBreakerModel:
    """A model that refuses calls while its circuit is open, and counts how calls end.

    It goes around the time limit, so that a timeout counts as an outage.

    Args:
        inner: The model, with its time limit.
        circuit: The circuit; all wrappers of one model share it.
    """

    def __init__(self, inner: CompletionModel, circuit: CircuitBreaker) -> None:
        self._inner, self._circuit = inner, circuit

    @property
    def chat_model(self) -> BaseChatModel:
        """The innermost model."""
        return self._inner.chat_model

    async def generate(
        self,
        prompt: Sequence[BaseMessage],
        config: RunnableConfig | None,
        options: Mapping[str, Any],
    ) -> AIMessage:
        """The whole answer.

        Raises:
            ModelUnavailableError: The circuit is open.
            ModelError: The model failed.
        """
        with _counted(self._circuit):
            return await self._inner.generate(prompt, config, options)

    async def stream(
        self,
        prompt: Sequence[BaseMessage],
        config: RunnableConfig | None,
        options: Mapping[str, Any],
    ) -> AsyncGenerator[AIMessageChunk]:
        """The answer in pieces; raises as `generate`."""
        with _counted(self._circuit):
            async with aclosing(self._inner.stream(prompt, config, options)) as pieces:
                async for piece in pieces:
                    yield piece

    async def generate_structured(
        self, runnable: StructuredRunnable, prompt: Sequence[BaseMessage]
    ) -> dict[str, Any] | None:
        """The answer of a runnable made of `chat_model`; raises as `generate`."""
        with _counted(self._circuit):
            return await self._inner.generate_structured(runnable, prompt)


class CircuitBreakerChatModel(BaseChatModel):
    """The same for LangChain's own code, which takes nothing but a `BaseChatModel`.

    It serves LangChain's classic memories: whole answers, without tools or streams.
    """

    inner: BaseChatModel
    circuit: CircuitBreaker = Field(exclude=True)

    @property
    def _llm_type(self) -> str:
        return "onionskin-circuit-breaker"

    def get_token_ids(self, text: str) -> list[int]:
        """The inner model's token ids."""
        return self.inner.get_token_ids(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any | BaseTool] | None = None
    ) -> int:
        """The inner model's token count."""
        return self.inner.get_num_tokens_from_messages(messages, tools)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with _counted(self.circuit):
            return self.inner._generate(messages, stop, run_manager, **kwargs)  # noqa: SLF001 - the method that every chat model implements


@contextmanager
def _counted(circuit: CircuitBreaker) -> Generator[None]:
    """Admits a call, and counts how it ends.

    Raises:
        ModelUnavailableError: The circuit is open.
    """
    wait = circuit.admit()
    if wait is not None:
        raise ModelUnavailableError(wait)
    started = time.monotonic()
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        circuit.record_cancellation(timedelta(seconds=time.monotonic() - started))
        raise
    except Exception as error:
        model_error = translate_provider_error(error)
        if model_error.outage:
            circuit.record_failure(model_error.retry_after)
        else:
            circuit.record_success()
        raise
    circuit.record_success()
