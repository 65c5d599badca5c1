"""Sessions under names of somebody else's: a thread of LangGraph's, a session id of LangChain's.

The id of the session follows from the name, so that nothing is looked up. Under a name there is
always a session to go on with: it begins with the first turn, and one that was closed is opened.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.errors import SessionClosedError, UnknownSessionError
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.retrieval import embed_with_timeout
from onionskin.memory.session_lock import SessionLock
from onionskin.memory.store import RedisStore
from onionskin.memory.tokens import title_of
from onionskin.memory.types.messages import Entry, Message, Session, User
from onionskin.memory.types.tasks import EmbedTask

_EMBED_SECONDS = 30.0


def external_session_id(name: str) -> str:
    """The id of the session of a name; each user has their own."""
    return f"s_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class ExternalSession:
    """A user's session under a name."""

    onionskin: Onionskin
    user: User
    name: str

    @property
    def store(self) -> RedisStore:
        """Where it is kept."""
        return self.onionskin.store

    @property
    def id(self) -> str:
        """Of the session."""
        return external_session_id(self.name)

    async def recall(
        self, memory: CombinedMemory, text: str, *, lock: SessionLock | None = None
    ) -> RecallResult:
        """What a profile has to say to `text`; of a session that begins if there is none."""
        now = time.time()
        try:
            return await memory.recall(self.user, text, session_id=self.id, now=now, lock=lock)
        except SessionClosedError:
            await self.store.sessions.reopen(self.user, self.id)
            return await memory.recall(self.user, text, session_id=self.id, now=now, lock=lock)
        except UnknownSessionError:
            await self.store.deletion.expire_session(self.user, self.id)
            begun = await memory.recall(
                self.user, text, session_id=None, now=now, lock=lock, new_session=True
            )
            snapshot = begun.turn.snapshot
            named = replace(snapshot, session=replace(snapshot.session, id=self.id))
            return replace(begun, turn=replace(begun.turn, snapshot=named))

    async def read(self) -> tuple[Entry, ...]:
        """All that was said in it, oldest first."""
        try:
            session = await self.store.sessions.get(self.user, self.id)
        except UnknownSessionError:
            return ()
        return await self.store.transcripts.read(
            self.user, self.id, start=0, count=max(session.length, 1)
        )

    async def append(self, messages: Sequence[Message]) -> None:
        """Store messages at its end."""
        embedder = self.onionskin.embedder
        vectors = (
            await embed_with_timeout(embedder, [one.spoken for one in messages], _EMBED_SECONDS)
            if embedder.local
            else [None] * len(messages)
        )
        pairs = list(zip(messages, vectors, strict=True))
        session, is_new = await self._session(title_of(messages[0].content))
        await self.store.transcripts.commit(self.user, session, pairs, create=is_new)
        if not embedder.local:
            await self.onionskin.schedule(EmbedTask(self.user))

    async def clear(self) -> None:
        """Delete it, if it is there."""
        try:
            await self.store.sessions.delete(self.user, self.id)
        except UnknownSessionError:
            return

    async def _session(self, title: str) -> tuple[Session, bool]:
        """How it stands, open; and whether it is to begin."""
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
