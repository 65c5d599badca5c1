"""Compares the stored turns with those that users saw acknowledged."""

from collections import Counter

from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import Entry, User, live_entries
from tests.faults.deployment import answer_to
from tests.faults.results_file import Ledger
from tests.faults.simulated_users import Speaker

_ALL = 1_000_000


async def stored_turns(
    store: RedisStore, user: User, ledger: Ledger
) -> dict[str, tuple[Entry, Entry | None]]:
    """Every turn of a user by its id, with its answer; checks that every answer has a question."""
    turns: dict[str, tuple[Entry, Entry | None]] = {}
    for session in await store.sessions.list(user, after=None, count=_ALL):
        everything = await store.transcripts.read(user, session.id, start=0, count=_ALL)
        found = live_entries(everything, session.abandoned)
        where = f"{user.id} {session.id}"
        ledger.check("positions have no gap", len(everything) == session.length, where)
        ledger.check(
            "window and summary tile",
            session.summary_state.compacted_upto <= len(everything),
            where,
        )
        for place, said in enumerate(found):
            if said.message.role == "assistant":
                # A turn may have several answers: calls of tools, and parallel retries of one text.
                ledger.check("a session begins with a user", place > 0, f"{where} {said.position}")
                continue
            following = found[place + 1] if place + 1 < len(found) else None
            if following is not None and following.message.role == "user":
                following = None
            turns[f"{session.id}.{said.position}"] = (said, following)
    return turns


async def check_acknowledged(store: RedisStore, speaker: Speaker, ledger: Ledger) -> None:
    """Check that acknowledged turns are stored once, whole and in order; others whole or not."""
    turns = await stored_turns(store, speaker.user, ledger)
    said = Counter(said.message.content for said, _ in turns.values())
    for one, count in said.items():
        ledger.check("no turn is stored twice", count == 1, one)
        ledger.check("nothing is stored that was not said", one in speaker.sent, one)
    for one, replied in turns.values():
        fits = (
            replied is None
            or replied.message.interrupted
            or replied.message.content == answer_to(one.message.content)
        )
        ledger.check("a reply belongs to its message", fits, one)
    last: dict[str, int] = {}
    for text, turn_id in speaker.acknowledged:
        there = turn_id in turns and turns[turn_id][0].message.content == text
        ledger.check("acknowledged means stored", there, f"{text!r} as {turn_id}")
        session_id, _, position = turn_id.partition(".")
        ordered = int(position) > last.get(session_id, -1)
        ledger.check("turns are in order", ordered, f"{text!r} as {turn_id}")
        last[session_id] = int(position)
    ledger.add("acknowledged turns found again", len(speaker.acknowledged))
