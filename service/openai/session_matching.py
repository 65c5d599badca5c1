"""Finds the session that a request continues, for clients that resend whole conversations.

A known conversation continues its session. Where an edited or regenerated one differs, the turn
replaces what the session has from there on; the replaced messages stay stored as an abandoned
branch. A client that returns to an abandoned branch restores it. An unknown conversation is
imported once, as a whole.
"""

import hashlib
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from onionskin.memory.errors import UnknownSessionError
from onionskin.memory.privacy.conversation_redactor import ConversationRedactor
from onionskin.memory.privacy.policy import PrivacyPolicies, PrivacyPolicy
from onionskin.memory.retrieval import Embedder
from onionskin.memory.store import RedisStore, new_session_id
from onionskin.memory.tokens import title_of
from onionskin.memory.types.messages import Entry, Message, Session, User
from onionskin.service.openai.request import ParsedRequest
from onionskin.service.openai.transcript_tree import (
    Agreement,
    Match,
    Talk,
    compare,
    compare_branches,
    is_edited,
    is_same,
)

_PAGES = (3, 47)
"""Sizes of the pages of recent sessions to search; the first page nearly always has the match."""
_SESSION_ID = re.compile(r"s_[0-9a-f]{16}")
_RETRIED_SESSIONS = 3
"""Number of recent sessions that may hold the message of a request that failed."""


@dataclass(frozen=True, slots=True)
class ConversationName:
    """How a request names its conversation; at most one attribute is set.

    Attributes:
        session_id: Id of a session.
        chat: Id of a chat of the client's own.
        front_end_chat: The same, of a front end that sends the whole chat with each message.
        program: Instructions of a program, whose calls are one conversation.
    """

    session_id: str | None = None
    chat: str | None = None
    front_end_chat: str | None = None
    program: str | None = None

    @property
    def own_session_id(self) -> str:
        """The id of the session of a chat or a program; empty if the request names none."""
        kinds = (("chat", self.chat or self.front_end_chat), ("program", self.program))
        name = next((f"{kind}:{name}" for kind, name in kinds if name), "")
        return f"s_{hashlib.sha256(name.encode()).hexdigest()[:16]}" if name else ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a turn continues.

    Attributes:
        session_id: The session; None for a new one.
        shown_from: Position from which on the client shows the session's messages itself; None if
            it shows none of them.
        replaces_from: Position from which on the turn replaces the session's messages.
        new_session_id: Id of the session, if it is new; random if empty.
    """

    session_id: str | None = None
    shown_from: int | None = 0
    replaces_from: int | None = None
    new_session_id: str = ""


def is_session_id(key: str | None) -> bool:
    """Whether a text has the form of a session id."""
    return bool(key and _SESSION_ID.fullmatch(key))


@dataclass(frozen=True, slots=True)
class SessionMatcher:
    """Finds or imports the session of a request.

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
        self,
        user: User,
        request: ParsedRequest,
        *,
        name: ConversationName,
        profile: str,
        is_retry: bool = False,
    ) -> Place:
        """Where the turn continues; what the session lacks of the history is stored first.

        Args:
            user: The user.
            request: The request.
            name: How the request names its conversation.
            profile: Memory profile of a new session.
            is_retry: Whether the same request failed before.

        Raises:
            UnknownSessionError: The user has no session with the id in the request.
        """
        _check_session_id(name)
        if not (request.history or request.answers) or name.program:
            return await self._without_history(user, request.text, name, is_retry=is_retry)
        talk = self._talk(request)
        if name.session_id and not talk.history:
            return Place(name.session_id, None, await self._corrected(user, talk, name.session_id))
        anchor = await self._named(user, name)
        match = await self._best_match(user, talk, anchor) or await self._edited(user, talk, anchor)
        if match is None:
            own_id = "" if anchor else name.own_session_id
            return await self._begun(user, talk, own_id, profile)
        if match.session.closed:
            return await self._copied(user, match, talk, profile)
        if match.end_from is not None:
            return Place(match.session.id, match.end_from)
        return await self._continued(user, match, talk)

    async def _begun(self, user: User, talk: Talk, own_id: str, profile: str) -> Place:
        """A new session with the history."""
        if not talk.history:
            return Place(new_session_id=own_id)
        now, title = time.time(), title_of(talk.history[0].content)
        session = Session(own_id or new_session_id(), now, now, title=title, profile=profile)
        await self._append(user, session, talk.history, create=True)
        return Place(session.id)

    async def _copied(self, user: User, match: Match, talk: Talk, profile: str) -> Place:
        """A copy of a closed session, with what it lacks of the history."""
        count = None if match.end_from is not None else min(match.live.count, len(talk.history))
        copy = await self.store.sessions.fork(
            user, match.session.id, now=time.time(), upto=count, profile=profile
        )
        if count is not None and talk.history[count:]:
            await self._append(user, copy, talk.history[count:])
        return Place(copy.id)

    async def _continued(self, user: User, match: Match, talk: Talk) -> Place:
        """The session, on the branch that the client shows, with what it lacks of the history."""
        if match.branch.count > match.live.count:
            await self.store.branches.restore(user, match.session.id, match.branch.position)
            session = await self.store.sessions.get(user, match.session.id)
            match = await self._compare(user, session, talk)
        if rest := talk.history[match.live.count :]:
            await self._append(user, match.session, rest, replaces_from=match.following)
            return Place(match.session.id)
        return Place(match.session.id, 0, match.replaces_from(talk))

    async def _corrected(self, user: User, talk: Talk, session_id: str) -> int | None:
        """Position of the turn whose answer the next one replaces; None for none."""
        if not talk.is_corrected:
            return None
        session = await self.store.sessions.get(user, session_id)
        if session.live_count < len(talk.turn):
            return None
        tail = await self._tail(user, session, len(talk.turn))
        is_same_turn = compare(tail, talk.turn, self._privacy).count == len(talk.turn)
        return tail[0].position if is_same_turn else None

    async def look_up(self, user: User, request: ParsedRequest, *, name: ConversationName) -> Place:
        """Where a turn that is not stored belongs, without a change.

        Raises:
            UnknownSessionError: The user has no session with the id in the request.
        """
        _check_session_id(name)
        if not request.history:
            return Place(name.session_id, None) if name.session_id else Place()
        talk = self._talk(request)
        match = await self._best_match(user, talk, await self._named(user, name))
        if match is None or match.session.closed:
            return Place()
        if match.end_from is not None:
            return Place(match.session.id, match.end_from)
        return Place(match.session.id, 0, match.replaces_from(talk))

    async def _without_history(
        self, user: User, text: str, name: ConversationName, *, is_retry: bool
    ) -> Place:
        """Where the first message of a client's conversation belongs."""
        if name.session_id:
            return Place(name.session_id, None)  # the client keeps no history of its own
        if not name.own_session_id:
            return await self._unanswered(user, text) if is_retry else Place()
        session = await self._named(user, name)
        if session is None:
            await self.store.deletion.expire_session(user, name.own_session_id)
            return Place(new_session_id=name.own_session_id)
        if session.closed:
            return Place()
        if name.program:
            return Place(session.id, session.length)
        first = await self.store.transcripts.read_live(user, session, count=1)
        is_again = first and (name.front_end_chat or first[0].message.content == text)
        return Place(session.id, 0, first[0].position) if is_again else Place(session.id, None)

    async def _unanswered(self, user: User, text: str) -> Place:
        """A recent session that consists of the same message without a whole answer."""
        for session in await self.store.sessions.list(user, after=None, count=_RETRIED_SESSIONS):
            if session.closed or session.live_count > 2:  # noqa: PLR2004 - one turn
                continue
            entries = await self.store.transcripts.read_live(user, session)
            said, answers = entries[:1], entries[1:]
            is_open = not answers or (answers[-1].message.interrupted and len(answers) == 1)
            if (
                said
                and is_open
                and is_same(said[0].message, Message("user", text, 0), self._privacy)
            ):
                return Place(session.id, 0, said[0].position)
        return Place()

    async def _named(self, user: User, name: ConversationName) -> Session | None:
        """The session that the request names.

        Raises:
            UnknownSessionError: The user has no session with the id in the request.
        """
        if name.session_id:
            return await self.store.sessions.get(user, name.session_id)
        try:
            return await self.store.sessions.get(user, name.own_session_id)
        except UnknownSessionError:
            return None

    async def _best_match(self, user: User, talk: Talk, anchor: Session | None) -> Match | None:
        """The named session if it agrees at all; else the one that agrees best with the history.

        Without a name, a pair of message and answer must agree, and no other session may agree as
        well: two chats that begin alike do not replace each other.
        """
        if anchor:
            match = await self._compare(user, anchor, talk)
            if match.branch.count or match.end_from is not None:
                return match
        best, ending = list[Match](), None
        async for session in self._recent(user, anchor):
            match = await self._compare(user, session, talk)
            if match.continues(talk):
                return match
            ending = ending or (match if match.end_from is not None else None)
            agreed, longest = match.branch.count, best[0].branch.count if best else 1
            if all(one.role == "user" for one in talk.lines[:agreed]) or agreed < longest:
                continue
            best = [*best, match] if agreed == longest else [match]
        return ending or (best[0] if len(best) == 1 else None)

    async def _edited(self, user: User, talk: Talk, anchor: Session | None) -> Match | None:
        """The session whose first message was edited, if the client kept what followed it."""
        sessions = [anchor] if anchor else await self._first_page(user)
        for session in sessions:
            entries = await self.store.transcripts.read_live(user, session, count=len(talk.history))
            if is_edited(entries, talk.history, self._privacy):
                return Match(session, entries, Agreement(), Agreement())
        return None

    async def _first_page(self, user: User) -> list[Session]:
        return await self.store.sessions.list(user, after=None, count=_PAGES[0])

    async def _recent(self, user: User, anchor: Session | None) -> AsyncIterator[Session]:
        """The user's recent sessions without the named one, latest first."""
        after: tuple[float, str] | None = None
        for count in _PAGES:
            page = await self.store.sessions.list(user, after=after, count=count)
            for session in page:
                if anchor is None or session.id != anchor.id:
                    yield session
            if len(page) < count:
                return
            after = (page[-1].active, page[-1].id)

    async def _compare(self, user: User, session: Session, talk: Talk) -> Match:
        transcripts, count = self.store.transcripts, len(talk.lines)
        entries = await transcripts.read_live(user, session, count=count + 1)
        live = compare(entries, talk.lines, self._privacy)
        match = Match(session, entries, live, live)
        if live.count < count and session.abandoned:
            match = replace(match, branch=await self._best_branch(user, session, talk.lines))
        count = len(talk.history)
        if match.branch.count or session.live_count <= count or not count:
            return match
        tail = await self._tail(user, session, count)
        is_end = len(tail) == count
        is_end = is_end and compare(tail, talk.history, self._privacy).count == count
        return replace(match, end_from=tail[0].position if is_end else None)

    async def _best_branch(
        self, user: User, session: Session, history: Sequence[Message]
    ) -> Agreement:
        entries = await self.store.transcripts.read(user, session.id, start=0, count=session.length)
        fields = await self.store.sessions.fields(user, session.id)
        forks = fields.get("forks", b"").decode()
        return compare_branches(entries, forks, session.abandoned, history, self._privacy)

    async def _tail(self, user: User, session: Session, count: int) -> tuple[Entry, ...]:
        """The last live messages of a session."""
        positions = [
            position for run in session.abandoned.live(0, session.length) for position in run
        ]
        start = positions[-count]
        return await self.store.transcripts.read_live(user, session, start=start)

    @property
    def _privacy(self) -> PrivacyPolicy:
        return self.privacy_policies.strictest

    def _talk(self, request: ParsedRequest) -> Talk:
        redactor = ConversationRedactor(self._privacy)
        said = Message("user", request.text, 0.0)
        lines = [
            replace(message, content=redactor.redact_line(message.role, message.content))
            for message in (*request.history, said, *request.answers)
        ]
        count = len(request.history)
        return Talk(lines[:count], lines[count:], request.is_corrected)

    async def _append(
        self,
        user: User,
        session: Session,
        messages: Sequence[Message],
        *,
        create: bool = False,
        replaces_from: int | None = None,
    ) -> None:
        now = time.time()
        messages = [replace(message, at=now) for message in messages]
        vectors = (
            list(await self.embedder.embed([message.spoken for message in messages]))
            if self.embedder.local
            else [None] * len(messages)
        )
        pairs = list(zip(messages, vectors, strict=True))
        await self.store.transcripts.commit(
            user, session, pairs, create=create, replaces_from=replaces_from
        )


def _check_session_id(name: ConversationName) -> None:
    if name.session_id and not is_session_id(name.session_id):
        raise UnknownSessionError(name.session_id)
