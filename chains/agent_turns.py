"""The turns in an agent's messages: what the user said, and what came of it.

An agent's state holds more than that: summaries and notices that middleware writes as human
messages, and instructions. None of it is the user's words.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from onionskin.memory.content import stored_text
from onionskin.memory.langchain.message_conversion import is_from_user
from onionskin.memory.privacy.policy import PreparedMessage, PrivacyPolicy
from onionskin.memory.types.messages import Entry, Message, User


def find_turn(messages: Sequence[AnyMessage]) -> tuple[list[HumanMessage], list[AnyMessage]]:
    """The user's last messages without an answer between them, and the messages after them."""
    last = next(
        (place for place in reversed(range(len(messages))) if is_from_user(messages[place])), -1
    )
    if last < 0:
        return [], list(messages)
    first = last
    while first and not isinstance(messages[first - 1], AIMessage | ToolMessage):
        first -= 1
    said = [message for message in messages[first : last + 1] if is_from_user(message)]
    return cast("list[HumanMessage]", said), list(messages[last + 1 :])


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the user in an agent's state.

    Attributes:
        id: Id in the state.
        text: Text as it is stored.
        author: The user's name in the conversation, if known.
    """

    id: str
    text: str
    author: str | None = None

    @classmethod
    def of(cls, message: HumanMessage, privacy: PrivacyPolicy) -> "Said":
        """A message of the state, as `privacy` lets it be stored."""
        return cls(message.id or "", prepared(message, privacy).for_storage, message.name)

    def to_state(self) -> dict[str, Any]:
        """Plain data for the agent's state."""
        return {"id": self.id, "text": self.text, "author": self.author}

    @classmethod
    def from_state(cls, values: Mapping[str, Any]) -> "Said":
        """What `to_state` wrote."""
        return cls(values["id"], values["text"], values["author"])


@dataclass(frozen=True, slots=True)
class AgentTurn:
    """A turn of an agent.

    Attributes:
        user: The owner of the memory.
        thread: The agent's thread, if it has one.
        said: What the user said, without repetitions.
        ids: Ids of these messages in the state, with repetitions.
        since: The messages after them.
        private_texts: Private texts of what the user said.
        is_stored: Whether the turn is stored. A subagent's is not: its input is not the user's.
    """

    user: User
    thread: str | None
    said: tuple[Said, ...]
    ids: tuple[str, ...]
    since: tuple[AnyMessage, ...]
    private_texts: tuple[str, ...] = field(default=(), repr=False)
    is_stored: bool = True

    @property
    def key(self) -> tuple[User, str | None, tuple[str, ...], bool]:
        """Identifies the turn in a process."""
        return self.user, self.thread, self.ids, self.is_stored

    @property
    def text(self) -> str:
        """What the user said, as one text."""
        return "\n".join(message.text for message in self.said)


def prepared(message: HumanMessage, privacy: PrivacyPolicy) -> PreparedMessage:
    """A message of the user, prepared for the model and for storage."""
    return privacy.prepare_message(stored_text(cast("Any", message.content)))


def without_repetitions(said: Sequence[Said]) -> list[Said]:
    """The messages without those that repeat the one before: a run that was tried again."""
    return [
        message
        for place, message in enumerate(said)
        if place + 1 == len(said) or said[place + 1].text != message.text
    ]


@dataclass
class Progress:
    """What is stored of a turn.

    Attributes:
        position: Position of the turn's first message; None if nothing is stored.
        ids: Ids in the state of messages that are stored.
        calls: Position and stored form of the answers with calls, by the id of their first call.
        replaces_from: Position from which on the next commit replaces messages.
        shown_from: Position from which on the agent's state has the messages of the session.
    """

    position: int | None = None
    ids: set[str] = field(default_factory=set[str])
    calls: dict[str, tuple[int, Message]] = field(default_factory=dict[str, tuple[int, Message]])
    replaces_from: int | None = None
    shown_from: int | None = None

    def pending(
        self, said: Sequence[Said], answers: Sequence[tuple[str, Message]], *, at: float
    ) -> list[tuple[str, Message]]:
        """The messages that are not stored, each with its id in the state.

        Calls that were changed since they were stored, such as by other middleware, replace
        the stored ones.
        """
        messages = [
            (each.id, Message("user", each.text, at, each.author))
            for each in said
            if each.id not in self.ids
        ]
        for id_, answer in answers:
            stored = self.calls.get(answer.calls[0].id) if answer.calls else None
            if stored and stored[1].calls == answer.calls:
                continue
            if stored and self.replaces_from is None:
                self.replaces_from = stored[0]
            elif not answer.calls and id_ in self.ids:
                continue
            messages.append((id_, answer))
        return messages

    def note(self, messages: Sequence[tuple[str, Message]], *, position: int) -> None:
        """Messages were stored, from a position on."""
        self.position = position if self.position is None else self.position
        self.replaces_from = None
        for place, (id_, message) in enumerate(messages, position):
            self.ids.add(id_)
            if message.calls:
                self.calls[message.calls[0].id] = place, message


def stored_progress(
    stored: Sequence[Entry], said: Sequence[Said], answers: Sequence[tuple[str, Message]]
) -> Progress:
    """What a session has stored of a turn already.

    A turn goes on if it is unanswered, or if the agent continues from its calls. The same message
    again replaces a turn that ended in calls or was interrupted.

    Args:
        stored: The live messages at the end of the session.
        said: What the user said in this turn.
        answers: The answers in the agent's state, each with its id.
    """
    turn = _last_turn(stored)
    user = [entry.message.content for entry in turn if entry.message.role == "user"]
    rest = turn[len(user) :]
    if not turn or not rest:
        return _unanswered(turn, user, said)
    own = [message.text for message in said]
    if user[-len(own) :] != own[-len(user) :]:
        return Progress()
    position, last = turn[0].position, rest[-1].message
    calls = {
        entry.message.calls[0].id: (entry.position, entry.message)
        for entry in rest
        if entry.message.calls
    }
    texts = {entry.message.content for entry in rest if not entry.message.calls}
    ids = {id_ for id_, answer in answers if not answer.calls and answer.content in texts}
    if ids or any(answer.calls and answer.calls[0].id in calls for _, answer in answers):
        said_ids = {message.id for message in said}
        return Progress(position, ids | said_ids, calls, shown_from=position)
    is_unfinished = bool(last.calls) or last.interrupted
    return Progress(replaces_from=position, shown_from=position) if is_unfinished else Progress()


def _unanswered(turn: Sequence[Entry], texts: list[str], said: Sequence[Said]) -> Progress:
    """The progress of a turn without an answer; the messages that it lacks join it."""
    if not turn:
        return Progress()
    for count in range(min(len(texts), len(said)), 0, -1):
        if texts[-count:] == [message.text for message in said[:count]]:
            ids = {message.id for message in said[:count]}
            return Progress(turn[0].position, ids, shown_from=turn[-count].position)
    return Progress(turn[0].position)


def _last_turn(stored: Sequence[Entry]) -> Sequence[Entry]:
    """The last messages of the user in a session, and the answers to them."""
    start = len(stored)
    while start and stored[start - 1].message.role == "assistant":
        start -= 1
    while start and stored[start - 1].message.role == "user":
        start -= 1
    turn = stored[start:]
    return turn if turn and turn[0].message.role == "user" else ()


def nonce_of(said: Sequence[Said], messages: Sequence[Message]) -> str:
    """The idempotency key of a commit: the same messages of one turn are stored once."""
    if not said or not said[-1].id:
        return ""
    digest = hashlib.sha256(said[-1].id.encode())
    for message in messages:
        calls = [(call.id, call.arguments) for call in message.calls]
        results = [(result.call_id, result.content) for result in message.results]
        digest.update(json.dumps([message.role, message.content, calls, results]).encode())
    return f"agent:{digest.hexdigest()[:32]}"
