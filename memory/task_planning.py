"""Background tasks that a stored turn makes due."""

from collections.abc import Iterator, Sequence

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


def plan_summary(
    policy: SummaryPolicy, result: RecallResult, added: Sequence[Message]
) -> Iterator[Task]:
    """A summary of the session, once enough messages have left the window."""
    turn = result.turn
    session, end = turn.snapshot.session, turn.snapshot.session.length
    new = (Entry(session.id, end + place, message) for place, message in enumerate(added))
    unfolded = (*turn.snapshot.unfolded, *new)
    if next_compaction(policy, session, unfolded) is not None:
        yield SummarizeTask(turn.user, session.id, result.profile)


def plan_extraction(policy: ExtractionPolicy, result: RecallResult, added: int) -> Iterator[Task]:
    """Extraction from the session, now or once it is quiet, and from the previous session."""
    turn, profile = result.turn, result.profile
    session = turn.snapshot.session
    waiting = session.abandoned.count_live(session.extracted_upto, session.length)
    if waiting + added >= policy.messages:
        yield ExtractTask(turn.user, session.id, profile)
    else:
        quiet = policy.quiet_seconds
        yield ExtractTask(turn.user, session.id, profile, final=True, quiet=quiet)
    if turn.snapshot.is_new:
        for previous_id in session.continued_from[:1]:
            yield ExtractTask(turn.user, previous_id, profile, final=True)


def plan_embedding(turn: TurnContext, *, local: bool) -> Iterator[Task]:
    """Embedding of the user's messages, unless a local embedder has embedded all of them."""
    if not (local and turn.index and not turn.index.pending):
        yield EmbedTask(turn.user)


def plan_access_count(result: RecallResult) -> Iterator[Task]:
    """An access count for the records in the prompt."""
    record_ids = tuple(record.id for section in result.sections for record in section.records)
    if record_ids:
        yield RecordAccessTask(result.turn.user, record_ids, result.turn.at)
