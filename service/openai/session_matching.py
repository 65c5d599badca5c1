"""Which session a request goes on with, when clients resend whole conversations.

A conversation that is known goes on; one that was edited or regenerated is forked where it parts
from what is stored; one that nobody knows is taken up whole, once.
"""

import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from onionskin.memory.errors import UnknownSessionError
from onionskin.memory.privacy.conversation_redactor import ConversationRedactor
from onionskin.memory.privacy.echo_removal import matches_redacted
from onionskin.memory.privacy.policy import PrivacyPolicies
from onionskin.memory.retrieval.embedders.base import Embedder
from onionskin.memory.store import RedisStore
from onionskin.memory.store.script_io import new_session_id
from onionskin.memory.store.sessions import fork_session
from onionskin.memory.store.transcripts import get_session, list_sessions, read_messages
from onionskin.memory.tokens import title_of
from onionskin.memory.types.messages import Message, Role, Session, User
from onionskin.service.openai.request import TranscriptLine

_PAGES = (3, 47)
"""How many recent sessions are looked through: the first few nearly always hold it."""
_LEAST_COMMON = 2
_SESSION_ID = re.compile(r"s_[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class _Match:
    """How a session and a history agree.

    Attributes:
        common: how many messages both begin with.
        is_end: the history is the session's end: the client sends its last messages only.
    """

    session: Session
    common: int
    is_end: bool = False


def is_session_id(key: str | None) -> bool:
    """Whether a text has the form of a session id."""
    return bool(key and _SESSION_ID.fullmatch(key))


@dataclass(frozen=True, slots=True)
class SessionMatcher:
    """Finds, forks or takes up the session of a request.

    Attributes:
        store: where sessions stand.
        embedder: of messages that are taken up.
        discretions: what is kept of them. Compared is what the strictest would keep, so that a
            history is known again whatever the policy was when it was stored.
    """

    store: RedisStore
    embedder: Embedder
    discretions: PrivacyPolicies

    async def session(
        self, user: User, history: Sequence[TranscriptLine], *, named: str | None, profile: str
    ) -> str | None:
        """The id of the session to go on with; None for one that is begun with the turn.

        Args:
            user: whose.
            history: what the client says was said before.
            named: the session that the client names, if it does.
            profile: of a session that is begun here.

        Raises:
            UnknownSessionError: the user has no session `named`.
        """
        if named and not is_session_id(named):
            raise UnknownSessionError(named)
        if not history:
            return named  # with a name, the client keeps no history of its own
        history = self._kept(history)
        match = await self._best(user, history, named)
        if match is None:
            now = time.time()
            title = title_of(history[0][1])
            begun = Session(new_session_id(), now, now, title=title, profile=profile)
            await self._store(user, begun, history, create=True)
            return begun.id
        session, common = match.session, match.common
        if match.is_end:
            common = session.length
        if common < session.length or session.closed:
            session = await fork_session(
                self.store, user, session.id, now=time.time(), upto=common, profile=profile
            )
        if not match.is_end and common < len(history):
            await self._store(user, session, history[common:], create=False)
        return session.id

    async def _best(
        self, user: User, history: Sequence[TranscriptLine], named: str | None
    ) -> _Match | None:
        """The session that the history tells, or tells the beginning of."""
        best: _Match | None = None
        ending: _Match | None = None
        async for session in self._candidates(user, named):
            match = await self._matched(user, session, history)
            if match.common == len(history):
                return match
            ending = ending or (match if match.is_end else None)
            if match.common > (best.common if best else _LEAST_COMMON - 1):
                best = match
        return ending or best

    async def _candidates(self, user: User, named: str | None) -> AsyncIterator[Session]:
        """The session that is named, then the others, the latest first."""
        if named:
            yield await get_session(self.store, user, named)
        after: tuple[float, str] | None = None
        for count in _PAGES:
            page = await list_sessions(self.store, user, after=after, count=count)
            for session in page:
                if session.id != named:
                    yield session
            if len(page) < count:
                return
            after = (page[-1].active, page[-1].id)

    async def _matched(
        self, user: User, session: Session, history: Sequence[TranscriptLine]
    ) -> _Match:
        told = await self._lines(user, session, start=0, count=len(history))
        common = 0
        for stored, (role, text) in zip(told, history, strict=False):
            if not _same(stored, (role, text)):
                break
            common += 1
        if common or session.length <= len(history):
            return _Match(session, common)
        start = session.length - len(history)
        last = await self._lines(user, session, start=start, count=len(history))
        is_end = len(last) == len(history) and all(map(_same, last, history))
        return _Match(session, 0, is_end)

    async def _lines(
        self, user: User, session: Session, *, start: int, count: int
    ) -> list[TranscriptLine]:
        found = await read_messages(self.store, user, session.id, start=start, count=count)
        redacted = self.discretions.strictest.redact
        return [(one.message.role, redacted(one.message.content).strip()) for one in found]

    def _kept(self, history: Sequence[TranscriptLine]) -> list[TranscriptLine]:
        listener = ConversationRedactor(self.discretions.strictest)
        return [(role, listener.redact_line(role, text)) for role, text in history]

    async def _store(
        self, user: User, session: Session, lines: Sequence[TranscriptLine], *, create: bool
    ) -> None:
        now = time.time()
        messages = [Message(_role(role), text, now) for role, text in lines]
        vectors = (
            list(await self.embedder.embed([one.spoken for one in messages]))
            if self.embedder.local
            else [None] * len(messages)
        )
        pairs = list(zip(messages, vectors, strict=True))
        await self.store.commit(user, session, pairs, create=create)


def _same(stored: TranscriptLine, told: TranscriptLine) -> bool:
    """Whether a line is what is stored; of an answer, its client knows what the store left out."""
    (role, kept), (who, text) = stored, told
    if role != who:
        return False
    return matches_redacted(kept, text.strip()) if role == "assistant" else kept == text.strip()


def _role(role: str) -> Role:
    return "assistant" if role == "assistant" else "user"
