"""The asynchronous client."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import httpx

from onionskin.client import calls
from onionskin.client.calls import Call
from onionskin.client.errors import OnionskinApiError
from onionskin.client.results import (
    Found,
    Imported,
    Memory,
    Message,
    OnConflict,
    Page,
    Receipt,
    Reply,
    Session,
    Token,
    UserFigures,
)
from onionskin.client.speaking import Events, arguments, check, options, pause, result, unreachable

T = TypeVar("T")


class OnionskinClient:
    """Asks Onionskin's service; use `async with OnionskinClient(url) as onionskin: ...`.

    Every method raises OnionskinApiError with the service's `code`, or UnreachableError. What may be
    sent again without harm is sent again when the service is away: a turn is named by a key, so
    that it is stored once.

    Args:
        url: of the service.
        api_key: shown with every request.
        timeout: in seconds, for an answer or a piece of it.
        retries: how often a request is sent again.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout: float = 120.0,
        retries: int = 2,
    ) -> None:
        self._http = httpx.AsyncClient(**options(url, api_key, timeout))
        self._retries = retries

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def chat(
        self,
        user_id: str,
        message: str,
        *,
        session_id: str | None = None,
        profile: str | None = None,
        on_conflict: OnConflict | None = None,
        apart_from: Sequence[str] | None = None,
        key: str | None = None,
    ) -> Reply:
        """Say something; once the answer is here, the turn is stored.

        Args:
            user_id: who says it.
            message: what.
            session_id: the session to go on with; None for the latest, or a new one.
            profile: the memory profile.
            on_conflict: what to do when another turn is under way on the session.
            apart_from: sessions that nothing is recalled of.
            key: names the turn: under the same key it is done once, for a day. Drawn if None.
        """
        given: dict[str, Any] = {"session_id": session_id, "profile": profile}
        given |= {"on_conflict": on_conflict, "apart_from": apart_from}
        turn = calls.chat(user_id, message, key, **given)
        return await self._do(turn)

    async def stream(
        self,
        user_id: str,
        message: str,
        *,
        session_id: str | None = None,
        profile: str | None = None,
        on_conflict: OnConflict | None = None,
        apart_from: Sequence[str] | None = None,
        key: str | None = None,
    ) -> AsyncIterator[Token | Reply]:
        """The same in pieces: tokens, and last the whole reply. Who stops before stores nothing."""
        given: dict[str, Any] = {"session_id": session_id, "profile": profile, "stream": True}
        given |= {"on_conflict": on_conflict, "apart_from": apart_from}
        turn = calls.chat(user_id, message, key, **given)
        events = Events()
        async with self._streamed(**arguments(turn)) as response:
            async for line in response.aiter_lines():
                if (piece := events.take(line)) is not None:
                    yield piece
        events.close()

    async def sessions(
        self, user_id: str, *, cursor: str | None = None, limit: int = 50
    ) -> Page[Session]:
        """Sessions, the latest first."""
        return await self._do(calls.sessions(user_id, cursor=cursor, limit=limit))

    async def session(self, user_id: str, session_id: str) -> Session:
        """One session."""
        return await self._do(calls.session(user_id, session_id))

    async def messages(
        self, user_id: str, session_id: str, *, cursor: str | None = None, limit: int = 50
    ) -> Page[Message]:
        """A session's transcript, the oldest first."""
        return await self._do(calls.messages(user_id, session_id, cursor=cursor, limit=limit))

    async def close_session(self, user_id: str, session_id: str) -> Session:
        """Close a session: it is folded whole, and read only."""
        return await self._do(calls.close_session(user_id, session_id))

    async def delete_session(self, user_id: str, session_id: str) -> int:
        """Delete a session; how many messages went."""
        return await self._do(calls.delete_session(user_id, session_id))

    async def remember(self, user_id: str, content: str, **fields: Any) -> Memory:
        """Keep a memory; `fields` as the API has them, such as `topic` or `pinned`."""
        return await self._do(calls.remember(user_id, content, **fields))

    async def memories(
        self, user_id: str, *, cursor: str | None = None, limit: int = 50, **wanted: Any
    ) -> Page[Memory]:
        """Memories, the newest first; `wanted` as the API has it, such as `kind`."""
        return await self._do(calls.memories(user_id, cursor=cursor, limit=limit, **wanted))

    async def memory(self, user_id: str, memory_id: str) -> Memory:
        """One memory."""
        return await self._do(calls.memory(user_id, memory_id))

    async def search(
        self, user_id: str, query: str, *, top_k: int = 10, **wanted: Any
    ) -> tuple[Found, ...]:
        """The memories that answer a query best."""
        return await self._do(calls.search(user_id, query, top_k=top_k, **wanted))

    async def change(self, user_id: str, memory_id: str, **fields: Any) -> Memory:
        """Change what is named of a memory."""
        return await self._do(calls.change(user_id, memory_id, fields))

    async def forget(self, user_id: str, memory_id: str) -> int:
        """Delete a memory; how many went."""
        return await self._do(calls.forget(user_id, memory_id))

    async def figures(self, user_id: str) -> UserFigures:
        """How much is stored of a user."""
        return await self._do(calls.figures(user_id))

    async def erase(self, user_id: str) -> Receipt:
        """Erase all that is stored of a user, for good."""
        return await self._do(calls.erase(user_id))

    async def export(self, user_id: str) -> AsyncIterator[bytes]:
        """All that is stored of a user, as JSON lines, in pieces of any size."""
        async with self._streamed(method="GET", url=calls.export_path(user_id)) as response:
            async for piece in response.aiter_bytes():
                yield piece

    async def import_lines(
        self, user_id: str, lines: AsyncIterable[bytes] | bytes, *, import_id: str | None = None
    ) -> Imported:
        """Store a conversation or an export; under an id, it can go on where it stopped."""
        params = {"import_id": import_id} if import_id else {}
        try:
            response = await self._http.post(
                calls.import_path(user_id), content=lines, params=params
            )
        except httpx.HTTPError as error:
            raise unreachable(self._http.base_url, error) from error
        return result(Call("POST", calls.import_path(user_id), calls.imported), response)

    async def _do(self, call: Call[T]) -> T:
        tries = 0
        while True:
            tries += 1
            try:
                return result(call, await self._sent(call))
            except OnionskinApiError as error:
                wait = pause(call, error, tries, self._retries)
                if wait is None:
                    raise
            await asyncio.sleep(wait)

    async def _sent(self, call: Call[Any]) -> httpx.Response:
        try:
            return await self._http.request(**arguments(call))
        except httpx.HTTPError as error:
            raise unreachable(self._http.base_url, error) from error

    @asynccontextmanager
    async def _streamed(self, **request: Any) -> AsyncGenerator[httpx.Response]:
        try:
            async with self._http.stream(**request) as response:
                if not response.is_success:
                    await response.aread()
                check(response)
                yield response
        except httpx.HTTPError as error:
            raise unreachable(self._http.base_url, error) from error
