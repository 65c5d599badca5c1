"""What is due after a turn, now that it is stored."""

from collections.abc import Iterator

from onionskin.memory.layers.base import RecallResult, TurnContext
from onionskin.memory.records.extraction import ExtractionPolicy
from onionskin.memory.summarization import SummaryPolicy, next_compaction
from onionskin.memory.types.messages import Entry, Message
from onionskin.memory.types.tasks import (
    EmbedTask,
    ExtractTask,
    RecordAccessTask,
    SummarizeTask,
    Task,
)


def plan_summary(policy: SummaryPolicy, recollection: RecallResult, reply: str) -> Iterator[Task]:
    """The session, once enough of it stands before the window."""
    turn = recollection.turn
    session, end = turn.snapshot.session, turn.snapshot.session.length
    said = Entry(session.id, end, Message("user", turn.text, turn.at))
    replied = Entry(session.id, end + 1, Message("assistant", reply, turn.at))
    unfolded = (*turn.snapshot.unfolded, said, replied)
    if next_compaction(policy, session, unfolded) is not None:
        yield SummarizeTask(turn.user, session.id, recollection.profile)


def plan_extraction(policy: ExtractionPolicy, recollection: RecallResult) -> Iterator[Task]:
    """The session, at once or when it is quiet, and what the one before it left."""
    turn, profile = recollection.turn, recollection.profile
    session = turn.snapshot.session
    if session.length + 2 - session.extracted_upto >= policy.messages:
        yield ExtractTask(turn.user, session.id, profile)
    else:
        quiet = policy.quiet_seconds
        yield ExtractTask(turn.user, session.id, profile, final=True, quiet=quiet)
    if turn.snapshot.is_new:
        for left in session.continued_from[:1]:
            yield ExtractTask(turn.user, left, profile, final=True)


def plan_embedding(turn: TurnContext, *, local: bool) -> Iterator[Task]:
    """The user's messages, unless a local embedder has made all of their vectors."""
    if not (local and turn.index and not turn.index.pending):
        yield EmbedTask(turn.user)


def plan_access_count(recollection: RecallResult) -> Iterator[Task]:
    """The records that were shown."""
    shown = [one.id for section in recollection.sections for one in section.records]
    if shown:
        yield RecordAccessTask(recollection.turn.user, tuple(shown), recollection.turn.at)
