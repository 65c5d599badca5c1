"""Leaves out of the prompt what the client's own messages show already.

A client that sends its whole conversation shows the session itself, from some position on. The
layers then add only what precedes that position, and what comes from elsewhere.
"""

from dataclasses import replace

from onionskin.memory.layers.base import TurnContext
from onionskin.memory.layers.window import window_tokens
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.messages import Entry
from onionskin.memory.types.snapshot import Section

_OF_THE_SESSION = ("summary", "classic")
"""Layers whose text is about this session alone."""


def client_message_ids(turn: TurnContext) -> frozenset[str]:
    """Ids of the session's messages that the client shows."""
    if turn.shown_from is None:
        return frozenset()
    session = turn.snapshot.session
    return frozenset(
        f"{session.id}:{position}" for position in range(turn.shown_from, session.length)
    )


def without_client_messages(section: Section, turn: TurnContext) -> Section:
    """The section without messages that the client shows.

    The text about the session is left out if the client shows the session from its beginning.
    """
    first = turn.shown_from
    if first is None or not (section.messages or section.text):
        return section
    shown = tuple(entry for entry in section.messages if _is_shown(entry, turn, first))
    text = section.text if section.layer in _OF_THE_SESSION and first == 0 else ""
    if not shown and not text:
        return section
    return replace(
        section,
        tokens=section.tokens - window_tokens(shown) - count_tokens(text),
        messages=tuple(entry for entry in section.messages if entry not in shown),
        text="" if text else section.text,
    )


def _is_shown(entry: Entry, turn: TurnContext, first: int) -> bool:
    return entry.session_id == turn.snapshot.session.id and entry.position >= first
