"""ChatOpenAI by the shortest way: past the SDK's transform of requests, and mostly past the SDK.

HTTP to the server of a model: whole answers of a bounded size, on connections that are kept.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
import msgspec
import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from pydantic import PrivateAttr

from onionskin.chains.callbacks import has_no_callbacks
from onionskin.chains.prompt import Prompt
from onionskin.memory.http_limits import LARGEST_RESPONSE_BYTES

_KEPT_SECONDS, _CONNECT_SECONDS = 5.0, 5.0
_NONE_OF_ITS_OWN = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


@dataclass(frozen=True, slots=True)
class TransportResponse:
    """What a server answered.

    Attributes:
        headers: names in lower case.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Transport:
    """Requests to one server, by aiohttp. Close it in the end.

    Args:
        url: of the server; its path is put before those of requests.
    """

    def __init__(self, url: str) -> None:
        self._url, self._session = (
            url.rstrip("/"),
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_SECONDS),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=_NONE_OF_ITS_OWN,
            ),
        )

    async def post(
        self, path: str, headers: list[tuple[str, str]], body: bytes, seconds: float
    ) -> TransportResponse:
        """The answer to a POST.

        Raises:
            httpx2.RequestError: there is none: the server is away, or broke off, or took more than
                `seconds`.
        """
        bound = aiohttp.ClientTimeout(sock_read=seconds, sock_connect=_CONNECT_SECONDS)
        try:
            async with self._session.post(
                f"{self._url}{path}",
                data=body,
                headers=headers,
                timeout=bound,
                allow_redirects=False,
            ) as response:
                told = [(name.lower(), value) for name, value in response.headers.items()]
                return TransportResponse(response.status, told, await _whole(response))
        except aiohttp.ServerTimeoutError as error:
            raise httpx2.ReadTimeout("No answer in time.") from error
        except aiohttp.ClientConnectorError as error:
            raise httpx2.ConnectError(f"The server cannot be reached: {error}.") from error
        except aiohttp.ClientPayloadError as error:
            raise httpx2.ReadError("The connection ended before the answer did.") from error
        except aiohttp.ServerDisconnectedError as error:
            raise httpx2.ReadError("The connection ended before the answer did.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise httpx2.RemoteProtocolError("What the server answered is no HTTP.") from error

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise httpx2.RemoteProtocolError("The answer is compressed, unasked.")
    pieces, size = list[bytes](), 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > LARGEST_RESPONSE_BYTES:
            raise httpx2.RemoteProtocolError(
                f"The answer is larger than {LARGEST_RESPONSE_BYTES} bytes."
            )
        pieces.append(piece)
    return b"".join(pieces)


_PATH, _FINE, _REDIRECTS = "/chat/completions", 200, range(300, 400)
_FOR_THE_SDK = {"response_format", "timeout", "extra_headers", "extra_query"}
_ROLES = {"human": "user", "ai": "assistant"}
_OF_TRACES = ("ls_", "structured_output")
_FIRST: ContextVar[TransportResponse | httpx2.RequestError | None] = ContextVar(
    "first", default=None
)
"""What came of the first try, which the SDK goes on from."""


class FastChatOpenAI(ChatOpenAI):
    """ChatOpenAI that hands its messages over as they go on the wire.

    The SDK tries each message against every variant of a union of typed dicts, to rename keys that
    have other names on the wire; those of chat messages have none. What stands in `extra_body` is
    merged into the request untouched, so the request is the same, sooner.

    On a wire of its own an answer that is not streamed passes the SDK by. Whatever else comes of
    the first try is handed to the SDK as if it had come of its own: it tells errors and tries again
    by its rules.
    """

    _wire: Transport | None = PrivateAttr(default=None)
    _headers: list[tuple[str, str]] = PrivateAttr(default_factory=list[tuple[str, str]])

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """The answer, as ever; without LangChain's book-keeping where no handler is told of it."""
        heard = not has_no_callbacks(config, self.callbacks, verbose=self.verbose)
        if heard or any(name.startswith(_OF_TRACES) for name in kwargs):
            return await super().ainvoke(input, config, stop=stop, **kwargs)
        messages = _messages(input) or self._convert_input(input).to_messages()
        if "stream" in kwargs or not self._is_plain:
            found = await self._agenerate_with_cache(messages, stop=stop, **kwargs)
            return cast("AIMessage", found.generations[0].message)
        return _answer(await self._agenerate(messages, stop, **kwargs))

    @property
    def _is_plain(self) -> bool:
        """Whether an answer is as the model gives it: not cached, held up, streamed or changed."""
        cached = self.cache is not False and (self.cache is not None or get_llm_cache() is not None)
        return not (cached or self.rate_limiter or self.streaming or self.output_version == "v1")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._on_wire(messages, stop, kwargs) if self._wire else None
        if self._wire is None or request is None:
            return await super()._agenerate(messages, stop, run_manager, **kwargs)
        first: TransportResponse | httpx2.RequestError | None
        try:
            seconds = cast("float", self.request_timeout)
            first = await self._wire.post(_PATH, self._headers, request, seconds)
        except httpx2.RequestError as error:
            first = error
        else:
            if (found := _completion(first)) is not None:
                return self._create_chat_result(found)  # pyright: ignore[reportUnknownMemberType]
            first = None if first.status in _REDIRECTS else first
        token = _FIRST.set(first)
        try:
            return await super()._agenerate(messages, stop, run_manager, **kwargs)
        finally:
            _FIRST.reset(token)

    def take_wire(self, wire: Transport) -> None:
        """Send first tries on `wire`, with the headers that the SDK would send."""
        client = self.root_async_client
        told = {**client.auth_headers, **client.default_headers}
        told |= {"accept-encoding": "identity", "x-stainless-retry-count": "0"}
        self._headers = [
            (name.lower(), value) for name, value in told.items() if isinstance(value, str)
        ]
        self._wire = wire

    def _on_wire(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> bytes | None:
        """The body of a request; None for one that only the SDK can make."""
        payload = self._payload(messages, stop, options)
        beyond = payload.get("stream") or not _FOR_THE_SDK.isdisjoint(payload)
        if beyond or "messages" not in payload:
            return None
        extra: dict[str, Any] = payload.pop("extra_body", None) or {}
        try:
            return msgspec.json.encode({**payload, **extra})
        except (TypeError, ValueError, msgspec.MsgspecError):
            return None

    def _payload(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        at = 1 if isinstance(messages, Prompt) else _plain_from(messages)
        payload: dict[str, Any] = super()._get_request_payload(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            list(messages[:at]), stop=stop, **options
        )
        if "messages" not in payload:  # of the Responses API
            return super()._get_request_payload(list(messages), stop=stop, **options)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        payload["messages"] += [
            {"content": text, "role": role} for role, text in _said(messages, at)
        ]
        return payload

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload = self._payload(self._convert_input(input_).to_messages(), stop, kwargs)
        if "messages" not in payload or "response_format" in payload:
            return payload  # of the Responses API, or parsed by the SDK
        messages = payload["messages"]
        extra: dict[str, Any] = payload.get("extra_body") or {}
        return {**payload, "messages": [], "extra_body": {"messages": messages, **extra}}


class FirstAttemptClient(openai.DefaultAsyncHttpxClient):
    """The SDK's client of HTTP, which takes what came of a first try for that of its own."""

    async def send(self, request: httpx2.Request, **kwargs: Any) -> httpx2.Response:
        """What came of a request."""
        first = _FIRST.get()
        _FIRST.set(None)
        if isinstance(first, TransportResponse):
            answer = httpx2.Response(first.status, headers=first.headers, content=first.body)
            answer.request = request
            return answer
        if first is not None:
            first.request = request
            raise first
        return await super().send(request, **kwargs)


@asynccontextmanager
async def with_transport(model: FastChatOpenAI, url: str) -> AsyncGenerator[FastChatOpenAI]:
    """The model with a wire to the server at `url`, unless a proxy stands before that."""
    parts = urlsplit(url)
    proxied = {parts.scheme, "all"} & getproxies().keys()
    if proxied and not proxy_bypass(parts.hostname or ""):
        yield model
        return
    wire = Transport(url)
    model.take_wire(wire)
    try:
        yield model
    finally:
        await wire.aclose()


def _messages(given: LanguageModelInput) -> list[BaseMessage]:
    """What is given, if it needs no conversion; else nothing."""
    if isinstance(given, Prompt):
        return cast("list[BaseMessage]", given)  # which is read, and never written
    if not isinstance(given, list):
        return []
    found = [one for one in given if isinstance(one, BaseMessage)]
    return found if len(found) == len(given) else []


def _answer(found: ChatResult) -> AIMessage:
    """The first of the answers, told of as LangChain does where it keeps a cache."""
    first = found.generations[0]
    message = cast("AIMessage", first.message)
    of_all = (found.llm_output or {}) if len(found.generations) == 1 else {}
    told = {**of_all, **(first.generation_info or {}), **message.response_metadata}
    message.response_metadata = told
    return message


def _said(messages: Sequence[BaseMessage], at: int) -> Iterator[tuple[str, Any]]:
    """Roles and texts from a place on, where there is nothing else."""
    if isinstance(messages, Prompt):
        return iter(messages.lines[at:])
    return ((_ROLES[one.type], one.content) for one in messages[at:])


def _plain_from(messages: Sequence[BaseMessage]) -> int:
    """Where the messages begin that are nothing but a role and a text, up to the end; never at 0.

    Those of a long window go on the wire without LangChain's conversion, which looks for more.
    """
    at = len(messages)
    while at > 1 and _is_plain(messages[at - 1]):
        at -= 1
    return at


def _is_plain(message: BaseMessage) -> bool:
    if message.name or message.additional_kwargs or not isinstance(message.content, str):
        return False
    if type(message) is AIMessage:
        return not (message.tool_calls or message.invalid_tool_calls or message.response_metadata)
    return type(message) is HumanMessage


def _completion(answer: TransportResponse) -> dict[str, Any] | None:
    """A completion with a choice; None for anything else."""
    if answer.status != _FINE:
        return None
    try:
        found = msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found if found.get("choices") and not found.get("error") else None
