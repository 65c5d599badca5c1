"""The asynchronous client."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Self, TypeVar

import httpx

from onionskin.client import operations
from onionskin.client.errors import OnionskinApiError
from onionskin.client.operations import Operation
from onionskin.client.results import (
    Appended,
    Context,
    ErasureReceipt,
    ImportResult,
    Memory,
    MemoryHit,
    Message,
    MessageHit,
    OnConflict,
    Page,
    Reply,
    Role,
    Session,
    Token,
    UserFigures,
    UserSummary,
)
from onionskin.client.transport import (
    EventReader,
    client_options,
    raise_for_problem,
    request_arguments,
    result_of,
    retry_delay,
    unreachable,
)

T = TypeVar("T")


class OnionskinClient:
    """Client for the Onionskin service; use `async with OnionskinClient(url) as onionskin: ...`.

    Every method raises OnionskinApiError with the service's `code`, or UnreachableError. Requests
    that are safe to repeat are retried while the service is unavailable. A turn carries an
    idempotency key, so a retry stores it only once.

    Args:
        url: Base URL of the service.
        api_key: API key sent with every request.
        timeout: Seconds to wait for an answer or the next piece of it.
        retries: Maximum number of retries per request.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout: float = 120.0,
        retries: int = 2,
    ) -> None:
        self._http = httpx.AsyncClient(**client_options(url, api_key, timeout))
        self._retries = retries

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
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
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        store: bool = True,
        key: str | None = None,
    ) -> Reply:
        """Send a message and get the answer; the turn is stored before this returns.

        Args:
            user_id: The user who sends the message.
            message: Text of the message.
            session_id: Session to continue; None for the latest one, or a new one.
            profile: Memory profile.
            on_conflict: Behaviour while another turn runs on the session.
            apart_from: Sessions to exclude from recall.
            system: Instructions for the model; not stored.
            temperature: Of the model.
            max_tokens: Longest answer.
            metadata: Stored with the message.
            store: Whether to store the turn; otherwise memory is only read.
            key: Idempotency key, valid for a day; generated if None.
        """
        turn = operations.chat(
            user_id,
            message,
            key,
            session_id=session_id,
            profile=profile,
            on_conflict=on_conflict,
            apart_from=apart_from,
            system=system,
            temperature=temperature,
            max_tokens=max_tokens,
            metadata=metadata,
            store=store,
        )
        return await self._run(turn)

    async def stream(
        self,
        user_id: str,
        message: str,
        *,
        session_id: str | None = None,
        profile: str | None = None,
        on_conflict: OnConflict | None = None,
        apart_from: Sequence[str] | None = None,
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        store: bool = True,
        key: str | None = None,
    ) -> AsyncIterator[Token | Reply]:
        """Like `chat`, but yields tokens, then the reply; a stop stores what came before it."""
        turn = operations.chat(
            user_id,
            message,
            key,
            session_id=session_id,
            profile=profile,
            on_conflict=on_conflict,
            apart_from=apart_from,
            system=system,
            temperature=temperature,
            max_tokens=max_tokens,
            metadata=metadata,
            store=store,
            stream=True,
        )
        events = EventReader()
        async with self._open_stream(**request_arguments(turn)) as response:
            async for line in response.aiter_lines():
                if (piece := events.feed(line)) is not None:
                    yield piece
        events.close()

    async def context(
        self,
        user_id: str,
        message: str,
        *,
        session_id: str | None = None,
        profile: str | None = None,
    ) -> Context:
        """Read the memory for a message, for a model that you call yourself; stores nothing."""
        options = {"session_id": session_id, "profile": profile}
        return await self._run(operations.context(user_id, message, **options))

    async def append(
        self,
        user_id: str,
        messages: Sequence[Mapping[str, Any]],
        *,
        session_id: str = "latest",
        create: bool = False,
        replaces_from: int | None = None,
        profile: str | None = None,
        on_conflict: OnConflict | None = None,
        key: str | None = None,
    ) -> Appended:
        """Store messages that you exchanged with a model yourself: all of them once, or none.

        Args:
            user_id: The owner of the session.
            messages: Chat messages in OpenAI's form; also with `author`, `time` (a datetime with a
                time zone), `metadata`, and `id`, under which a session stores a message once.
            session_id: Session to continue; `latest` for the one that a turn would continue, or a
                new one; `new` for a new one.
            create: Whether to create the session if it does not exist.
            replaces_from: Position from which on these replace the session's messages.
            profile: Memory profile.
            on_conflict: Behaviour while a turn runs on the session.
            key: Idempotency key, valid for a day; generated if None.
        """
        operation = operations.append(
            user_id,
            session_id,
            messages,
            key,
            create=create,
            replaces_from=replaces_from,
            profile=profile,
            on_conflict=on_conflict,
        )
        return await self._run(operation)

    async def search(
        self,
        user_id: str,
        query: str,
        *,
        sessions: Sequence[str] | None = None,
        role: Role | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
        min_similarity: float | None = None,
        neighbours: int = 0,
        include_vectors: bool = False,
        limit: int = 10,
        cursor: str | None = None,
    ) -> Page[MessageHit]:
        """Search the messages of all sessions, best match first.

        Args:
            user_id: The owner of the conversations.
            query: What to search for.
            sessions: Search only these sessions.
            role: Only messages of this role.
            since: Only messages sent at or after this time.
            until: Only messages sent at or before this time.
            metadata: Filter of the messages' metadata, such as `{"channel": {"$in": ["web"]}}`.
            min_similarity: Minimum cosine similarity with the query.
            neighbours: Messages before and after each hit that come with it.
            include_vectors: Whether hits have their vectors.
            limit: Most hits of the page.
            cursor: `next_cursor` of the previous page, with the same query and filters.
        """
        operation = operations.search(
            user_id,
            query,
            sessions=sessions,
            role=role,
            since=since,
            until=until,
            metadata=metadata,
            min_similarity=min_similarity,
            neighbours=neighbours,
            include_vectors=include_vectors,
            limit=limit,
            cursor=cursor,
        )
        return await self._run(operation)

    async def sessions(
        self,
        user_id: str,
        *,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Session]:
        """List sessions, latest first."""
        return await self._run(operations.sessions(user_id, cursor=cursor, limit=limit))

    async def session(self, user_id: str, session_id: str) -> Session:
        """Read one session."""
        return await self._run(operations.session(user_id, session_id))

    async def messages(
        self,
        user_id: str,
        session_id: str,
        *,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Message]:
        """List a session's transcript, oldest message first."""
        page = operations.messages(user_id, session_id, cursor=cursor, limit=limit)
        return await self._run(page)

    async def close_session(self, user_id: str, session_id: str) -> Session:
        """Close a session: it becomes read-only, and the rest of it is summarized."""
        return await self._run(operations.close_session(user_id, session_id))

    async def delete_session(self, user_id: str, session_id: str) -> int:
        """Delete a session; returns the number of deleted messages."""
        return await self._run(operations.delete_session(user_id, session_id))

    async def remember(self, user_id: str, content: str, **fields: Any) -> Memory:
        """Create a memory; `fields` are the API's, such as `topic` or `pinned`."""
        return await self._run(operations.remember(user_id, content, **fields))

    async def memories(
        self,
        user_id: str,
        *,
        cursor: str | None = None,
        limit: int = 50,
        **filters: Any,
    ) -> Page[Memory]:
        """List memories, newest first; `filters` are the API's, such as `kind`."""
        return await self._run(operations.memories(user_id, cursor=cursor, limit=limit, **filters))

    async def memory(self, user_id: str, memory_id: str) -> Memory:
        """Read one memory."""
        return await self._run(operations.memory(user_id, memory_id))

    async def search_memories(
        self,
        user_id: str,
        query: str,
        *,
        top_k: int = 10,
        **filters: Any,
    ) -> tuple[MemoryHit, ...]:
        """Search memories, best match first; `filters` are the API's, such as `kinds`."""
        return await self._run(operations.search_memories(user_id, query, top_k=top_k, **filters))

    async def change(self, user_id: str, memory_id: str, **fields: Any) -> Memory:
        """Change the given fields of a memory; None is a value."""
        return await self._run(operations.change(user_id, memory_id, fields))

    async def forget(self, user_id: str, memory_id: str) -> int:
        """Delete a memory; returns the number of deleted memories."""
        return await self._run(operations.forget(user_id, memory_id))

    async def figures(self, user_id: str) -> UserFigures:
        """Read the amount of data stored for a user."""
        return await self._run(operations.figures(user_id))

    async def summary(self, user_id: str) -> UserSummary:
        """Read a summary of a user over all sessions."""
        return await self._run(operations.summary(user_id))

    async def erase(self, user_id: str) -> ErasureReceipt:
        """Erase all data of a user permanently."""
        return await self._run(operations.erase(user_id))

    async def export(self, user_id: str) -> AsyncIterator[bytes]:
        """Export all data of a user as JSON lines, in chunks of any size."""
        path = operations.export_path(user_id)
        async with self._open_stream(method="GET", url=path) as response:
            async for chunk in response.aiter_bytes():
                yield chunk

    async def import_lines(
        self,
        user_id: str,
        lines: AsyncIterable[bytes] | bytes,
        *,
        import_id: str | None = None,
    ) -> ImportResult:
        """Import a conversation or an export; with an `import_id`, a failed import can resume."""
        operation = operations.import_lines(user_id, import_id)
        request = request_arguments(operation) | {"json": None, "content": lines}
        return result_of(operation, await self._send(request))

    async def _run(self, operation: Operation[T]) -> T:
        attempts = 0
        while True:
            attempts += 1
            try:
                return result_of(operation, await self._send(request_arguments(operation)))
            except OnionskinApiError as error:
                delay = retry_delay(operation, error, attempts=attempts, retries=self._retries)
                if delay is None:
                    raise
            await asyncio.sleep(delay)

    async def _send(self, request: dict[str, Any]) -> httpx.Response:
        try:
            return await self._http.request(**request)
        except httpx.HTTPError as error:
            raise unreachable(self._http.base_url, error) from error

    @asynccontextmanager
    async def _open_stream(self, **request: Any) -> AsyncGenerator[httpx.Response]:
        try:
            async with self._http.stream(**request) as response:
                if not response.is_success:
                    await response.aread()
                raise_for_problem(response)
                yield response
        except httpx.HTTPError as error:
            raise unreachable(self._http.base_url, error) from error
