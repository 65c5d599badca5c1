"""A turn's messages: what is stored of it, and how much of it is stored already."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from onionskin.memory.layers.base import RecallResult, TurnContext
from onionskin.memory.types.messages import Answer, Entry, Message, ToolRound

NOTHING = Answer()


@dataclass(frozen=True, slots=True)
class StoredPart:
    """What the session's last turn and a new one have in common.

    Attributes:
        replaces_from: Position of an interrupted answer's turn, which the new turn replaces.
        turn_position: Position of the turn's first message, if the user's messages are stored.
        rounds: Number of stored answers that called tools.
    """

    replaces_from: int | None = None
    turn_position: int | None = None
    rounds: int = 0


def stored_part(
    entries: Sequence[Entry], said: tuple[str, ...], rounds: Sequence[ToolRound]
) -> StoredPart:
    """How much of a turn the end of its session holds already.

    A turn repeats the session's last one if the user says the same again: after an unanswered
    message, after an interrupted answer, or with the results of the tools that the answer called.

    Args:
        entries: The live messages at the end of the session.
        said: The user's messages of the turn.
        rounds: The answers that called tools, with the results.
    """
    end = len(entries)
    while end and entries[end - 1].message.role == "assistant":
        end -= 1
    answers, first = entries[end:], end - len(said)
    asked = entries[max(first, 0) : end]
    texts = tuple(entry.message.content for entry in asked if entry.message.role == "user")
    if texts != said:
        return StoredPart()
    position = asked[0].position
    matched = 0
    while matched < min(len(answers), len(rounds)) and _is_same(answers[matched], rounds[matched]):
        matched += 1
    if matched == len(answers) and (rounds or not answers):
        return StoredPart(None, position, matched)
    if not answers[-1].message.interrupted:
        return StoredPart()
    if rounds and matched == len(answers) - 1:
        return StoredPart(answers[-1].position, position, matched)
    return StoredPart(position)


def _is_same(entry: Entry, tool_round: ToolRound) -> bool:
    """Whether a stored answer made the calls of a round; a client may give calls other ids."""
    calls, wanted = entry.message.calls, tool_round.calls
    if not calls or len(calls) != len(wanted):
        return False
    pairs = list(zip(calls, wanted, strict=True))
    return all(one.id == other.id for one, other in pairs) or all(
        (one.name, one.arguments) == (other.name, other.arguments) for one, other in pairs
    )


def with_stored_part(turn: TurnContext) -> TurnContext:
    """The turn, whose snapshot has lost what the turn repeats or replaces."""
    snapshot = turn.snapshot
    if snapshot.is_new or not snapshot.unfolded:
        return turn
    part = stored_part(snapshot.unfolded, (*turn.earlier, turn.text), turn.rounds)
    replaced = [one for one in (turn.replaces_from, part.replaces_from) if one is not None]
    turn = replace(
        turn,
        replaces_from=min(replaced) if replaced else None,
        turn_position=part.turn_position,
        stored_rounds=part.rounds,
    )
    begin = turn.begin
    if begin is None or snapshot.unfolded[-1].position < begin:
        return turn
    unfolded = tuple(entry for entry in snapshot.unfolded if entry.position < begin)
    return replace(turn, snapshot=replace(snapshot, unfolded=unfolded))


def new_messages(recalled: RecallResult, answer: Answer | None, at: float) -> list[Message]:
    """The messages that a turn adds to its session.

    Args:
        recalled: What was recalled for the turn.
        answer: What came of it; None for nothing.
        at: Time of the answer, Unix seconds.
    """
    turn, offset = recalled.turn, recalled.turn.utc_offset
    messages: list[Message] = []
    if turn.turn_position is None:
        said = (*turn.earlier, turn.text)
        messages = [Message("user", text, turn.at, utc_offset=offset) for text in said]
        messages[-1] = replace(messages[-1], metadata=turn.metadata)
    elif answer is None:
        return messages
    at, profile = max(at, turn.at), recalled.profile
    results = turn.rounds[turn.stored_rounds - 1].results if turn.stored_rounds else turn.results
    for tool_round in turn.rounds[turn.stored_rounds :]:
        messages.append(
            Message(
                "assistant",
                tool_round.text,
                at,
                profile=profile,
                calls=tool_round.calls,
                results=results,
                utc_offset=offset,
            )
        )
        results = tool_round.results
    if answer is not None:
        messages.append(
            Message(
                "assistant",
                answer.text,
                at,
                None,
                answer.interrupted,
                profile,
                answer.calls,
                results,
                answer.refused,
                utc_offset=offset,
            )
        )
    return messages
