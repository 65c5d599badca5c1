"""Sessions with external names: a LangGraph thread id or a LangChain session id.

The session id is a hash of the name, so no lookup is needed. A named session can always be
continued: the first turn creates it, and a closed one is reopened.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.errors import SessionClosedError, UnknownSessionError
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.records import delete_session
from onionskin.memory.retrieval import embed_with_timeout
from onionskin.memory.session_lock import SessionLock
from onionskin.memory.store import RedisStore
from onionskin.memory.tokens import title_of
from onionskin.memory.types.messages import Entry, Message, Session, User
from onionskin.memory.types.tasks import EmbedTask

_EMBED_SECONDS = 30.0


def external_session_id(name: str) -> str:
    """The session id for a name, unique within a user."""
    return f"s_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class ExternalSession:
    """A user's session with an external name."""

    onionskin: Onionskin
    user: User
    name: str

    @property
    def store(self) -> RedisStore:
        """The store of the session."""
        return self.onionskin.store

    @property
    def id(self) -> str:
        """The session id."""
        return external_session_id(self.name)

    async def recall(
        self, memory: CombinedMemory, text: str, *, lock: SessionLock | None = None
    ) -> RecallResult:
        """Recall memory for `text`; a missing session starts with this turn."""
        now = time.time()
        try:
            return await memory.recall(self.user, text, session_id=self.id, now=now, lock=lock)
        except SessionClosedError:
            await self.store.sessions.reopen(self.user, self.id)
            return await memory.recall(self.user, text, session_id=self.id, now=now, lock=lock)
        except UnknownSessionError:
            await self.store.deletion.expire_session(self.user, self.id)
            recalled = await memory.recall(
                self.user, text, session_id=None, now=now, lock=lock, new_session=True
            )
            snapshot = recalled.turn.snapshot
            named = replace(snapshot, session=replace(snapshot.session, id=self.id))
            return replace(recalled, turn=replace(recalled.turn, snapshot=named))

    async def read(self) -> tuple[Entry, ...]:
        """All messages of the session, oldest first."""
        try:
            session = await self.store.sessions.get(self.user, self.id)
        except UnknownSessionError:
            return ()
        return await self.store.transcripts.read_live(self.user, session)

    async def append(self, messages: Sequence[Message]) -> None:
        """Append messages to the session."""
        embedder = self.onionskin.embedder
        vectors = (
            await embed_with_timeout(
                embedder, [message.spoken for message in messages], _EMBED_SECONDS
            )
            if embedder.local
            else [None] * len(messages)
        )
        pairs = list(zip(messages, vectors, strict=True))
        session, is_new = await self._session(title_of(messages[0].content))
        await self.store.transcripts.commit(self.user, session, pairs, create=is_new)
        if not embedder.local:
            await self.onionskin.schedule(EmbedTask(self.user))

    async def clear(self) -> None:
        """Delete the session if it exists, and the memories that were drawn from it alone."""
        try:
            await delete_session(self.store, self.onionskin.indexes, self.user, self.id)
        except UnknownSessionError:
            return

    async def _session(self, title: str) -> tuple[Session, bool]:
        """The session, reopened if it was closed; and whether it is new."""
        try:
            session = await self.store.sessions.get(self.user, self.id)
        except UnknownSessionError:
            await self.store.deletion.expire_session(self.user, self.id)
            fresh = await self.store.transcripts.load_turn(
                self.user, now=time.time(), since=None, tail=1, fresh=True
            )
            return replace(fresh.session, id=self.id, title=title), True
        if session.closed:
            await self.store.sessions.reopen(self.user, self.id)
        return session, False
