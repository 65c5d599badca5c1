"""Which session a request goes on with, when clients resend whole conversations.

A conversation that is known goes on; one that was edited or regenerated is forked where it parts
from what is stored; one that nobody knows is taken up whole, once.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from memory.errors import UnknownSessionError
from memory.recall.embedding import Embedder
from memory.store import RedisStore
from memory.store.decode import new_session_id
from memory.store.forking import fork_session
from memory.store.reading import get_session, list_sessions, read_messages
from memory.tokens import clip_tokens
from memory.types import Message, Role, Session, User
from service.openai.asking import Line

_RECENT = 20
_TITLE_TOKENS = 16
_SESSION_ID = re.compile(r"s_[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Conversations:
    """Finds, forks or takes up the session of a request.

    Attributes:
        store: where sessions stand.
        embedder: of messages that are taken up.
    """

    store: RedisStore
    embedder: Embedder

    async def session(
        self, user: User, history: Sequence[Line], *, named: str | None, profile: str
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
        if named and not _SESSION_ID.fullmatch(named):
            raise UnknownSessionError(named)
        if named:
            known = [await get_session(self.store, user, named)]
            if not history:
                return named  # the client keeps no history of its own
        elif not history:
            return None
        else:
            known = await list_sessions(self.store, user, after=None, count=_RECENT)
        best: tuple[int, str] | None = None
        for session in known:
            common = await self._common(user, session, history)
            if common == session.length:
                return session.id
            if common is not None and (best is None or common > best[0]):
                best = (common, session.id)
        if best:
            forked = await fork_session(
                self.store, user, best[1], now=time.time(), upto=best[0], profile=profile
            )
            return forked.id
        return await self._taken_up(user, history, profile)

    async def _common(self, user: User, session: Session, history: Sequence[Line]) -> int | None:
        """Up to where the session is what the history tells; None where it is another one.

        A history that lacks the beginning, as of clients that send their last messages only, is
        compared with the session's end.
        """
        first = await read_messages(
            self.store, user, session.id, start=0, count=min(len(history), session.length)
        )
        told = [(one.message.role, one.message.content) for one in first]
        if len(told) == len(history) and told == list(history):
            return len(told)
        if session.length > len(history):
            start = session.length - len(history)
            last = await read_messages(
                self.store, user, session.id, start=start, count=len(history)
            )
            if [(one.message.role, one.message.content) for one in last] == list(history):
                return session.length
        return None

    async def _taken_up(self, user: User, history: Sequence[Line], profile: str) -> str:
        now = time.time()
        title = clip_tokens(" ".join(history[0][1].split()), _TITLE_TOKENS)
        session = Session(new_session_id(), now, now, title=title, profile=profile)
        messages = [Message(_role(role), text, now) for role, text in history]
        vectors = (
            list(await self.embedder.embed([one.spoken for one in messages]))
            if self.embedder.local
            else [None] * len(messages)
        )
        pairs = list(zip(messages, vectors, strict=True))
        await self.store.commit(user, session, pairs, create=True)
        return session.id


def _role(role: str) -> Role:
    return "assistant" if role == "assistant" else "user"
