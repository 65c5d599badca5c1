"""A stored session as a tree of messages, compared with the history that a client sends."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from onionskin.memory.answer_markup import visible_answer
from onionskin.memory.privacy.echo_removal import matches_redacted
from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.memory.types.branches import Abandoned
from onionskin.memory.types.messages import Entry, Message, Session
from onionskin.service.openai.front_ends import without_note

_ROOT = -1
_SIMILAR, _COMPARED = 0.6, 2000
"""Share of equal words in an edited message, among so many of its first characters."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a session and a history agree.

    Attributes:
        count: Number of equal messages at the beginning of both.
        position: Position of the last of them in the session; -1 for none.
    """

    count: int = 0
    position: int = _ROOT


@dataclass(frozen=True, slots=True)
class Talk:
    """What a client sends of its conversation, as it is stored.

    Attributes:
        history: The messages before the turn.
        turn: The message of the turn, and its answers so far.
        is_corrected: Whether the next answer replaces those answers.
    """

    history: Sequence[Message]
    turn: Sequence[Message]
    is_corrected: bool

    @property
    def lines(self) -> Sequence[Message]:
        """All of it."""
        return [*self.history, *self.turn]


@dataclass(frozen=True, slots=True)
class Match:
    """Agreement of a session and what a client sends.

    Attributes:
        entries: The first live messages of the session; one more than the client sends, if it has
            so many.
        live: Agreement of the live messages.
        branch: Agreement of the best branch, if it is an abandoned one; else as `live`.
        end_from: Position of the history's first message, if the history is the end of the session;
            some clients send only the last messages.
    """

    session: Session
    entries: Sequence[Entry]
    live: Agreement
    branch: Agreement
    end_from: int | None = None

    @property
    def following(self) -> int | None:
        """Position of the first live message that does not agree; None if there is none."""
        is_longer = len(self.entries) > self.live.count
        return self.entries[self.live.count].position if is_longer else None

    def continues(self, talk: Talk) -> bool:
        """Whether the turn follows the session's last message, or repeats a message of it."""
        count, before = self.live.count, len(talk.history)
        if count > before:
            return any(line.role == "assistant" for line in talk.lines[:count])
        return count == before == self.session.live_count

    def replaces_from(self, talk: Talk) -> int | None:
        """Position from which on the turn replaces what the session has; None for nothing.

        A message that is sent again without its answers is regenerated. With calls of tools, it
        continues after those that the session has.
        """
        repeats = self.live.count > len(talk.history)
        if repeats and (talk.is_corrected or len(talk.turn) == 1):
            return self.entries[len(talk.history)].position
        return self.following


def compare(live: Sequence[Entry], history: Sequence[Message], privacy: PrivacyPolicy) -> Agreement:
    """How far the live messages of a session agree with a history."""
    agreement = Agreement()
    for entry, message in zip(live, history, strict=False):
        if not is_same(entry.message, message, privacy):
            break
        agreement = Agreement(agreement.count + 1, entry.position)
    return agreement


def compare_branches(
    entries: Sequence[Entry],
    forks: str,
    abandoned: Abandoned,
    history: Sequence[Message],
    privacy: PrivacyPolicy,
) -> Agreement:
    """How far any path from the beginning of a session agrees with a history.

    Args:
        entries: All messages of the session, abandoned ones included.
        forks: Positions whose message does not follow the one before, as `position:predecessor`.
        abandoned: Positions of abandoned messages; live ones are preferred.
        history: Messages as the client has them.
        privacy: The strictest policy, under which messages are compared.
    """
    followers = defaultdict[int, list[Entry]](list)
    pairs = (pair.partition(":") for pair in forks.split())
    predecessors = {int(place): int(before) for place, _, before in pairs}
    for entry in entries:
        followers[predecessors.get(entry.position, entry.position - 1)].append(entry)
    agreement, ends = Agreement(), [_ROOT]
    for count, message in enumerate(history, 1):
        ends = [
            entry.position
            for end in ends
            for entry in followers[end]
            if is_same(entry.message, message, privacy)
        ]
        if not ends:
            break
        ends.sort(key=lambda position: (position in abandoned, -position))
        agreement = Agreement(count, ends[0])
    return agreement


def is_edited(live: Sequence[Entry], history: Sequence[Message], privacy: PrivacyPolicy) -> bool:
    """Whether a history is the beginning of a session whose first message was edited.

    All answers agree, and there is one; each message of the user is equal or similar. A chat
    of its own
    rarely gets the same answers to similar messages, and would be found by its own beginning.
    """
    if len(live) < len(history) or all(message.role == "user" for message in history):
        return False
    if is_same(live[0].message, history[0], privacy):
        return False
    return all(
        is_same(entry.message, message, privacy)
        or (entry.message.role == message.role == "user" and _is_similar(entry.message, message))
        for entry, message in zip(live, history, strict=False)
    )


def _is_similar(stored: Message, message: Message) -> bool:
    words = (stored.content[:_COMPARED].split(), message.content[:_COMPARED].split())
    return SequenceMatcher(None, *words, autojunk=False).ratio() >= _SIMILAR


def is_same(stored: Message, message: Message, privacy: PrivacyPolicy) -> bool:
    """Whether a message of a client is the stored one.

    Spaces at the ends, notes of attachments and what surrounds an answer do not matter. The store
    may have redacted parts of an answer, and has only the beginning of one that was interrupted.
    """
    if stored.role != message.role:
        return False
    text = privacy.redact(stored.content).strip()
    if stored.role == "user":
        return without_note(text) == without_note(message.content.strip())
    if _call_ids(stored) != _call_ids(message):
        return False
    shown = message.content.strip()
    if matches_redacted(text, shown) or visible_answer(text) == visible_answer(shown):
        return True
    return stored.interrupted and bool(shown) and (text.startswith(shown) or shown.startswith(text))


def _call_ids(message: Message) -> tuple[str, ...]:
    return tuple(call.id or call.name for call in message.calls)
