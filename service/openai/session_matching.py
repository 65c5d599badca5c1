"""Finds the session that a request continues, for clients that resend whole conversations.

A known conversation continues its session. An edited or regenerated one forks the session where
the two differ. An unknown conversation is imported once, as a whole.
"""

import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from onionskin.memory.errors import UnknownSessionError
from onionskin.memory.privacy.conversation_redactor import ConversationRedactor
from onionskin.memory.privacy.echo_removal import matches_redacted
from onionskin.memory.privacy.policy import PrivacyPolicies
from onionskin.memory.retrieval import Embedder
from onionskin.memory.store import RedisStore, new_session_id
from onionskin.memory.tokens import title_of
from onionskin.memory.types.messages import Message, Role, Session, User
from onionskin.service.openai.front_ends import without_note
from onionskin.service.openai.request import TranscriptLine

_PAGES = (3, 47)
"""Sizes of the pages of recent sessions to search; the first page nearly always has the match."""
_MIN_COMMON = 2
_SESSION_ID = re.compile(r"s_[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a turn continues.

    Attributes:
        session_id: The session; None for a new one.
        shown_from: Position from which on the client shows the session's messages itself; None if
            it shows none of them.
    """

    session_id: str | None = None
    shown_from: int | None = 0


@dataclass(frozen=True, slots=True)
class _Match:
    """Agreement of a session and a history.

    Attributes:
        common: Number of equal messages at the start of both.
        is_end: Whether the history is the end of the session; some clients send only the last
            messages.
    """

    session: Session
    common: int
    is_end: bool = False

    def shown_from(self, count: int) -> int:
        """Position of the first message of a history of `count` messages."""
        return self.session.length - count if self.is_end else 0


def is_session_id(key: str | None) -> bool:
    """Whether a text has the form of a session id."""
    return bool(key and _SESSION_ID.fullmatch(key))


@dataclass(frozen=True, slots=True)
class SessionMatcher:
    """Finds, forks or imports the session of a request.

    Attributes:
        store: Store of the sessions.
        embedder: Embedder for imported messages.
        privacy_policies: Privacy policies. Messages are compared as the strictest policy redacts
            them, so that a match does not depend on the policy at the time of storing.
    """

    store: RedisStore
    embedder: Embedder
    privacy_policies: PrivacyPolicies

    async def find(
        self, user: User, history: Sequence[TranscriptLine], *, named: str | None, profile: str
    ) -> Place:
        """Where the turn continues; forks or imports a session if needed.

        Args:
            user: The user.
            history: Earlier messages, as the client has them.
            named: Session id in the request, if any.
            profile: Memory profile of a new session.

        Raises:
            UnknownSessionError: The user has no session `named`.
        """
        _check_session_id(named)
        if not history:
            return _without_history(named)
        history = self._redacted(history)
        match = await self._best_match(user, history, named)
        if match is None:
            now = time.time()
            title = title_of(history[0][1])
            session = Session(new_session_id(), now, now, title=title, profile=profile)
            await self._append(user, session, history, create=True)
            return Place(session.id)
        session, common = match.session, match.common
        if match.is_end:
            common = session.length
        if common < session.length or session.closed:
            session = await self.store.sessions.fork(
                user, session.id, now=time.time(), upto=common, profile=profile
            )
        if not match.is_end and common < len(history):
            await self._append(user, session, history[common:], create=False)
        return Place(session.id, match.shown_from(len(history)))

    async def look_up(
        self, user: User, history: Sequence[TranscriptLine], *, named: str | None
    ) -> Place:
        """Where a turn that is not stored belongs, without a change.

        Raises:
            UnknownSessionError: The user has no session `named`.
        """
        _check_session_id(named)
        if not history:
            return _without_history(named)
        history = self._redacted(history)
        match = await self._best_match(user, history, named)
        is_whole = match is not None and (match.is_end or match.common == match.session.length)
        if match is None or not is_whole or match.session.closed:
            return Place()
        return Place(match.session.id, match.shown_from(len(history)))

    async def _best_match(
        self, user: User, history: Sequence[TranscriptLine], named: str | None
    ) -> _Match | None:
        """The session with the longest common start, or the one that ends with the history."""
        best: _Match | None = None
        ending: _Match | None = None
        async for session in self._candidates(user, named):
            match = await self._compare(user, session, history)
            if match.common == len(history):
                return match
            ending = ending or (match if match.is_end else None)
            if match.common > (best.common if best else _MIN_COMMON - 1):
                best = match
        return ending or best

    async def _candidates(self, user: User, named: str | None) -> AsyncIterator[Session]:
        """The named session, then the recent ones, latest first."""
        if named:
            yield await self.store.sessions.get(user, named)
        after: tuple[float, str] | None = None
        for count in _PAGES:
            page = await self.store.sessions.list(user, after=after, count=count)
            for session in page:
                if session.id != named:
                    yield session
            if len(page) < count:
                return
            after = (page[-1].active, page[-1].id)

    async def _compare(
        self, user: User, session: Session, history: Sequence[TranscriptLine]
    ) -> _Match:
        lines = await self._lines(user, session, start=0, count=len(history))
        common = 0
        for stored, line in zip(lines, history, strict=False):
            if not _is_same(stored, line):
                break
            common += 1
        if common or session.length <= len(history):
            return _Match(session, common)
        start = session.length - len(history)
        last = await self._lines(user, session, start=start, count=len(history))
        is_end = len(last) == len(history) and all(map(_is_same, last, history))
        return _Match(session, 0, is_end)

    async def _lines(
        self, user: User, session: Session, *, start: int, count: int
    ) -> list[TranscriptLine]:
        entries = await self.store.transcripts.read(user, session.id, start=start, count=count)
        redact = self.privacy_policies.strictest.redact
        return [(entry.message.role, redact(entry.message.content).strip()) for entry in entries]

    def _redacted(self, history: Sequence[TranscriptLine]) -> list[TranscriptLine]:
        redactor = ConversationRedactor(self.privacy_policies.strictest)
        return [(role, redactor.redact_line(role, text)) for role, text in history]

    async def _append(
        self, user: User, session: Session, lines: Sequence[TranscriptLine], *, create: bool
    ) -> None:
        now = time.time()
        messages = [Message(_role(role), text, now) for role, text in lines]
        vectors = (
            list(await self.embedder.embed([message.spoken for message in messages]))
            if self.embedder.local
            else [None] * len(messages)
        )
        pairs = list(zip(messages, vectors, strict=True))
        await self.store.transcripts.commit(user, session, pairs, create=create)


def _check_session_id(named: str | None) -> None:
    if named and not is_session_id(named):
        raise UnknownSessionError(named)


def _without_history(named: str | None) -> Place:
    """A client that names a session and sends no history shows none of its messages."""
    return Place(named, None) if named else Place()


def _is_same(stored: TranscriptLine, line: TranscriptLine) -> bool:
    """Whether a line equals a stored one; the store may have redacted parts of an answer."""
    (stored_role, stored_text), (role, text) = stored, line
    if stored_role != role:
        return False
    if role == "assistant":
        return matches_redacted(stored_text, text.strip())
    return without_note(stored_text) == without_note(text.strip())


def _role(role: str) -> Role:
    return "assistant" if role == "assistant" else "user"
