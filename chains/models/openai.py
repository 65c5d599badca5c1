"""ChatOpenAI with less overhead: whole answers bypass the SDK, and its transform of requests.

It overrides and calls internals of langchain-openai, which may change in any release. They are
listed in `LANGCHAIN_METHODS` and `LANGCHAIN_FIELDS`; a contract test compares them with the
installed version, and the requests with those of the unmodified ChatOpenAI.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2
import msgspec
import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from pydantic import PrivateAttr

from onionskin.chains.callbacks import has_no_callbacks
from onionskin.chains.models.openai_transport import (
    FIRST_ATTEMPT,
    Transport,
    TransportResponse,
)
from onionskin.chains.prompt import Prompt
from onionskin.chains.prompt_messages import ClientPrompt

LANGCHAIN_METHODS: dict[str, tuple[str, ...]] = {
    "ainvoke": (
        "self",
        "input: 'LanguageModelInput'",
        "config: 'RunnableConfig | None' = None",
        "stop: 'list[str] | None' = None",
        "**kwargs: 'Any'",
    ),
    "astream": (
        "self",
        "input: 'LanguageModelInput'",
        "config: 'RunnableConfig | None' = None",
        "stop: 'list[str] | None' = None",
        "**kwargs: 'Any'",
    ),
    "_agenerate": (
        "self",
        "messages: 'list[BaseMessage]'",
        "stop: 'list[str] | None' = None",
        "run_manager: 'AsyncCallbackManagerForLLMRun | None' = None",
        "**kwargs: 'Any'",
    ),
    "_agenerate_with_cache": (
        "self",
        "messages: 'list[BaseMessage]'",
        "stop: 'list[str] | None' = None",
        "run_manager: 'AsyncCallbackManagerForLLMRun | None' = None",
        "**kwargs: 'Any'",
    ),
    "_get_request_payload": (
        "self",
        "input_: 'LanguageModelInput'",
        "stop: 'list[str] | None' = None",
        "**kwargs: 'Any'",
    ),
    "_convert_input": ("self", "model_input: 'LanguageModelInput'"),
    "_create_chat_result": (
        "self",
        "response: 'dict | openai.BaseModel'",
        "generation_info: 'dict | None' = None",
    ),
    "_convert_chunk_to_generation_chunk": (
        "self",
        "chunk: 'dict'",
        "default_chunk_class: 'type'",
        "base_generation_info: 'dict | None'",
    ),
}
"""Methods of ChatOpenAI that `FastChatOpenAI` overrides or calls, with their parameters."""
LANGCHAIN_FIELDS = frozenset(
    {
        *("cache", "callbacks", "output_version", "rate_limiter", "request_timeout"),
        *("root_async_client", "streaming", "verbose"),
    }
)
"""Fields of ChatOpenAI that `FastChatOpenAI` reads."""
_PATH, _OK, _REDIRECTS = "/chat/completions", 200, range(300, 400)
_SDK_OPTIONS = {"response_format", "timeout", "extra_headers", "extra_query"}
"""Options that the SDK alone handles."""
_ROLES = {"human": "user", "ai": "assistant"}
_TRACING_OPTIONS = ("ls_", "structured_output")
_DROPPED_FIELDS = ("refusal", "reasoning_content")
"""Texts of an answer that LangChain's messages lack; clients may have to send them back."""


class FastChatOpenAI(ChatOpenAI):
    """ChatOpenAI that sends the same requests with less work.

    The SDK matches each message against all variants of a union of typed dicts, to rename keys
    that have other names in the protocol; those of chat messages have none. `extra_body` is merged
    into the request as it is, so messages placed there skip that step.

    With a transport, an answer that is not streamed bypasses the SDK. If the first attempt does not
    bring an answer, its result is passed to the SDK, which raises errors and retries by its rules.
    """

    _transport: Transport | None = PrivateAttr(default=None)
    _headers: list[tuple[str, str]] = PrivateAttr(default_factory=list[tuple[str, str]])

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """The answer; without LangChain's run management where no handler sees the run."""
        kwargs = _with_sent_messages(input, kwargs)
        has_handlers = not has_no_callbacks(config, self.callbacks, verbose=self.verbose)
        if has_handlers or any(name.startswith(_TRACING_OPTIONS) for name in kwargs):
            return await super().ainvoke(input, config, stop=stop, **kwargs)
        messages = _as_messages(input) or self._convert_input(input).to_messages()
        if "stream" in kwargs or not self._is_direct:
            result = await self._agenerate_with_cache(messages, stop=stop, **kwargs)
            return cast("AIMessage", result.generations[0].message)
        return _message_of(await self._agenerate(messages, stop, **kwargs))

    def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """The answer in pieces."""
        return super().astream(input, config, stop=stop, **_with_sent_messages(input, kwargs))

    @property
    def _is_direct(self) -> bool:
        """Whether answers are neither cached, rate-limited, streamed nor converted."""
        cached = self.cache is not False and (self.cache is not None or get_llm_cache() is not None)
        return not (cached or self.rate_limiter or self.streaming or self.output_version == "v1")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        body = self._request_body(messages, stop, kwargs) if self._transport else None
        if self._transport is None or body is None:
            return await super()._agenerate(messages, stop, run_manager, **kwargs)
        attempt: TransportResponse | httpx2.RequestError | None
        try:
            seconds = cast("float", self.request_timeout)
            attempt = await self._transport.post(_PATH, self._headers, body, seconds)
        except httpx2.RequestError as error:
            attempt = error
        else:
            if (completion := _completion(attempt)) is not None:
                return self._create_chat_result(completion)  # pyright: ignore[reportUnknownMemberType]
            attempt = None if attempt.status in _REDIRECTS else attempt
        token = FIRST_ATTEMPT.set(attempt)
        try:
            return await super()._agenerate(messages, stop, run_manager, **kwargs)
        finally:
            FIRST_ATTEMPT.reset(token)

    def use_transport(self, transport: Transport) -> None:
        """Send first attempts through `transport`, with the headers that the SDK would send."""
        client = self.root_async_client
        headers = {**client.auth_headers, **client.default_headers}
        headers |= {"accept-encoding": "identity", "x-stainless-retry-count": "0"}
        self._headers = [
            (name.lower(), value) for name, value in headers.items() if isinstance(value, str)
        ]
        self._transport = transport

    def _request_body(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> bytes | None:
        """The body of a request; None for one that only the SDK can make."""
        payload = self._payload(messages, stop, options)
        needs_sdk = payload.get("stream") or not _SDK_OPTIONS.isdisjoint(payload)
        if needs_sdk or "messages" not in payload:
            return None
        extra: dict[str, Any] = payload.pop("extra_body", None) or {}
        try:
            return msgspec.json.encode({**payload, **extra})
        except (TypeError, ValueError, msgspec.MsgspecError):
            return None

    def _payload(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        start = 1 if isinstance(messages, Prompt) else _plain_from(messages)
        payload: dict[str, Any] = super()._get_request_payload(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            list(messages[:start]), stop=stop, **options
        )
        if "messages" not in payload:  # of the Responses API
            return super()._get_request_payload(list(messages), stop=stop, **options)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        payload["messages"] += [
            {"content": text, "role": role} for role, text in _plain_lines(messages, start)
        ]
        return payload

    def _create_chat_result(
        self,
        response: dict[str, Any] | openai.BaseModel,
        generation_info: dict[str, Any] | None = None,
    ) -> ChatResult:
        """The result of a completion, with fields that LangChain drops."""
        result = super()._create_chat_result(response, generation_info)  # pyright: ignore[reportUnknownMemberType]
        if isinstance(response, dict) and response.get("choices"):
            message: dict[str, Any] = response["choices"][0]["message"]
            result.generations[0].message.additional_kwargs.update(_dropped_fields(message))
        return result

    def _convert_chunk_to_generation_chunk(
        self,
        chunk: dict[str, Any],
        default_chunk_class: type,
        base_generation_info: dict[str, Any] | None,
    ) -> ChatGenerationChunk | None:
        """A piece of a stream, with fields that LangChain drops."""
        piece = super()._convert_chunk_to_generation_chunk(  # pyright: ignore[reportUnknownMemberType]
            chunk, default_chunk_class, base_generation_info
        )
        choices: list[dict[str, Any]] = chunk.get("choices") or []
        delta: dict[str, Any] = choices[0].get("delta") or {} if choices else {}
        if piece is not None:
            piece.message.additional_kwargs.update(_dropped_fields(delta))
        return piece

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload = self._payload(self._convert_input(input_).to_messages(), stop, kwargs)
        if "messages" not in payload or "response_format" in payload:
            return payload  # of the Responses API, or parsed by the SDK
        messages = payload["messages"]
        extra: dict[str, Any] = payload.get("extra_body") or {}
        return {**payload, "messages": [], "extra_body": {"messages": messages, **extra}}


@asynccontextmanager
async def with_transport(model: FastChatOpenAI, url: str) -> AsyncGenerator[FastChatOpenAI]:
    """The model with a transport to the server at `url`, unless a proxy is configured for it."""
    parts = urlsplit(url)
    is_proxied = bool({parts.scheme, "all"} & getproxies().keys())
    if is_proxied and not proxy_bypass(parts.hostname or ""):
        yield model
        return
    transport = Transport(url)
    model.use_transport(transport)
    try:
        yield model
    finally:
        await transport.aclose()


def _dropped_fields(message: dict[str, Any]) -> dict[str, str]:
    """The fields of an answer, or a piece of one, that LangChain drops."""
    fields = {name: message.get(name) for name in _DROPPED_FIELDS}
    return {name: text for name, text in fields.items() if isinstance(text, str) and text}


def _with_sent_messages(prompt: LanguageModelInput, options: dict[str, Any]) -> dict[str, Any]:
    """The options; for a client's own messages with the messages as they were sent."""
    if not isinstance(prompt, ClientPrompt):
        return options
    extra: dict[str, Any] = options.get("extra_body") or {}
    return {**options, "extra_body": {"messages": prompt.sent, **extra}}


def _as_messages(prompt: LanguageModelInput) -> list[BaseMessage]:
    """The prompt itself if it consists of messages; else an empty list."""
    if isinstance(prompt, Prompt):
        return cast("list[BaseMessage]", prompt)  # it is read alone, as any sequence
    if not isinstance(prompt, list):
        return []
    messages = [message for message in prompt if isinstance(message, BaseMessage)]
    return messages if len(messages) == len(prompt) else []


def _message_of(result: ChatResult) -> AIMessage:
    """The first answer, with the metadata that LangChain adds when it manages the run."""
    first = result.generations[0]
    message = cast("AIMessage", first.message)
    llm_output = (result.llm_output or {}) if len(result.generations) == 1 else {}
    generation_info = first.generation_info or {}
    message.response_metadata = {**llm_output, **generation_info, **message.response_metadata}
    return message


def _plain_lines(messages: Sequence[BaseMessage], start: int) -> Iterator[tuple[str, Any]]:
    """Roles and texts of the messages from `start` on, which have nothing else."""
    if isinstance(messages, Prompt):
        return iter(messages.lines[start:])
    return ((_ROLES[message.type], message.content) for message in messages[start:])


def _plain_from(messages: Sequence[BaseMessage]) -> int:
    """The index from which all messages are a role and a text alone; at least 1.

    They skip LangChain's conversion, which costs most for a long window.
    """
    start = len(messages)
    while start > 1 and _is_plain(messages[start - 1]):
        start -= 1
    return start


def _is_plain(message: BaseMessage) -> bool:
    if message.name or message.additional_kwargs or not isinstance(message.content, str):
        return False
    if type(message) is AIMessage:
        return not (message.tool_calls or message.invalid_tool_calls or message.response_metadata)
    return type(message) is HumanMessage


def _completion(response: TransportResponse) -> dict[str, Any] | None:
    """A completion with a choice; None for anything else."""
    if response.status != _OK:
        return None
    try:
        completion = msgspec.json.decode(response.body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return completion if completion.get("choices") and not completion.get("error") else None
