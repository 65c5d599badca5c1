"""What is due after a turn, now that it is stored."""

from collections.abc import Iterator

from onionskin.memory.layers.base import Recollection, Turn
from onionskin.memory.records.extraction import ExtractionPolicy
from onionskin.memory.summarization import FoldPolicy, fold_target
from onionskin.memory.types.messages import Entry, Message
from onionskin.memory.types.tasks import Due, EmbedDue, ExtractDue, FoldDue, UseDue


def fold_due(policy: FoldPolicy, recollection: Recollection, reply: str) -> Iterator[Due]:
    """The session, once enough of it stands before the window."""
    turn = recollection.turn
    session, end = turn.snapshot.session, turn.snapshot.session.length
    said = Entry(session.id, end, Message("user", turn.text, turn.at))
    replied = Entry(session.id, end + 1, Message("assistant", reply, turn.at))
    unfolded = (*turn.snapshot.unfolded, said, replied)
    if fold_target(policy, session, unfolded) is not None:
        yield FoldDue(turn.user, session.id, recollection.profile)


def extraction_due(policy: ExtractionPolicy, recollection: Recollection) -> Iterator[Due]:
    """The session, at once or when it is quiet, and what the one before it left."""
    turn, profile = recollection.turn, recollection.profile
    session = turn.snapshot.session
    if session.length + 2 - session.extracted_upto >= policy.messages:
        yield ExtractDue(turn.user, session.id, profile)
    else:
        quiet = policy.quiet_seconds
        yield ExtractDue(turn.user, session.id, profile, final=True, quiet=quiet)
    if turn.snapshot.is_new:
        for left in session.follows[:1]:
            yield ExtractDue(turn.user, left, profile, final=True)


def embedding_due(turn: Turn, *, local: bool) -> Iterator[Due]:
    """The user's messages, unless a local embedder has made all of their vectors."""
    if not (local and turn.index and not turn.index.pending):
        yield EmbedDue(turn.user)


def use_due(recollection: Recollection) -> Iterator[Due]:
    """The records that were shown."""
    shown = [one.id for section in recollection.sections for one in section.records]
    if shown:
        yield UseDue(recollection.turn.user, tuple(shown), recollection.turn.at)
