"""Master keys and stores for tests of encryption, and a user who leaves something everywhere."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import numpy as np

from onionskin.memory.records.service import RecordService
from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.codec import pack_vector
from onionskin.memory.store.encryption.keyring import Keyring
from onionskin.memory.store.encryption.master_keys import MasterKeys
from onionskin.memory.store.idempotency import StoredResponse
from onionskin.memory.store.langgraph_checkpoints import CheckpointRow, CheckpointWrite, Thread
from onionskin.memory.store.langgraph_items import ItemContent
from onionskin.memory.store.transfer import (
    MessagesPiece,
    Piece,
    RecordPiece,
    SessionPiece,
    StepPiece,
)
from onionskin.memory.types.messages import (
    ImportStep,
    Message,
    Session,
    SummaryState,
    User,
    Vectors,
)
from onionskin.memory.types.prompt_trace import LayerTrace, pack_trace
from onionskin.memory.types.records import Record, RecordChange
from tests.conftest import make_views

TAG = "tag-of-embedder"
SESSION, RESTORED, RECORD = "s_0000000000000001", "s_0000000000000002", "m_00000000000000ff"
CANARIES = {
    name: f"xyl{hashlib.sha256(name.encode()).hexdigest()[:24]}"
    for name in (
        *("said", "replied", "author", "title", "metadata", "summary", "extract", "shown"),
        *("answer", "try", "memory", "tag", "topic", "deleted", "changed", "entity"),
        *("item", "checkpoint", "graph metadata", "channel", "write"),
        *("restored", "restored title", "restored memory", "restored topic", "restored step"),
    )
}
THREAD = partial(Thread, id="a thread")
VECTOR = np.linspace(-0.07, 0.11, 384, dtype=np.float32)
PACKED_VECTOR = pack_vector(TAG, VECTOR).partition(b"\0")[2]


def masters(*ids: str) -> MasterKeys:
    """Master keys that are the same whenever their ids are."""
    return MasterKeys({one: hashlib.sha256(one.encode()).digest() for one in ids})


def store_with(
    connection: Connection, keys: MasterKeys | None, *, plaintext: bool = True
) -> RedisStore:
    """A store of a worker of its own."""
    keyring = Keyring(connection, keys, plaintext=plaintext)
    return RedisStore(connection, embedder_tag=TAG, keyring=keyring)


async def live(store: RedisStore, user: User) -> str:
    """Everything that a user can leave, each sort with a canary of its own; the id of a fork."""
    seen = CANARIES
    session = Session(SESSION, 1000.0, 1000.0, title=seen["title"])
    shown = LayerTrace("summary", 3, (), seen["shown"], (), (), ())
    said = [
        (Message("user", seen["said"], 1000.0, author=seen["author"]), VECTOR),
        (Message("assistant", seen["replied"], 1001.0), None),
    ]
    await store.transcripts.commit(
        user, session, said, create=True, trace=pack_trace([shown]), nonce="n1"
    )
    await store.sessions.save_summary(
        user, SESSION, SummaryState(), SummaryState(2, 1, seen["summary"], seen["extract"])
    )
    await store.sessions.update(user, SESSION, metadata={"note": seen["metadata"]})
    memories = RecordService(store, make_views(store), _OneVector())
    draft = {"content": seen["memory"], "topic": seen["topic"], "tags": [seen["tag"]]}
    kept, gone = await memories.create(user, [draft, {"content": seen["deleted"]}])
    await memories.update(user, kept.id, {"metadata": {"was": seen["changed"]}})
    await memories.delete(user, [gone.id])
    preference = {"content": "x", "kind": "preference", "entities": [seen["entity"]]}
    await memories.create(user, [preference])
    assert (
        await store.idempotency.claim_key(
            user, "http:a", StoredResponse(b"print", token="t"), timeout=timedelta(hours=1)
        )
        is None
    )
    await store.idempotency.save_response(
        user, "http:a", StoredResponse(b"print", 200, (), seen["answer"].encode()), token="t"
    )
    await store.idempotency.begin_attempt(user, seen["try"], "turn:x", now=1000.0, retried=False)
    await _graph(store, user)
    await store.transfer.restore(user, _pieces(), step=ImportStep("moving", 0, 4), now=2000.0)
    return (await store.sessions.fork(user, SESSION, now=3000.0)).id


async def _graph(store: RedisStore, user: User) -> None:
    """What a graph of LangGraph leaves."""
    said = {name: ("bytes", text.encode()) for name, text in CANARIES.items()}
    row = CheckpointRow("", "1", "", said["checkpoint"], said["graph metadata"])
    channels = {("c", "1"): said["channel"]}
    await store.langgraph_checkpoints.put(THREAD(user), row, channels)
    await store.langgraph_checkpoints.put_writes(
        THREAD(user), "1", [CheckpointWrite("t", 0, "", "c", said["write"])]
    )
    await store.langgraph_items.put(
        user, [(("n",), "i", ItemContent({"v": CANARIES["item"]}, 1.0))], now=1.0
    )


def _pieces() -> list[Piece]:
    content, topic = CANARIES["restored memory"], CANARIES["restored topic"]
    record = Record(RECORD, content, "note", "long", 1.0, 1.0, topic=topic)
    step = Record(RECORD, CANARIES["restored step"], "note", "long", 1.0, 1.0)
    fields: dict[str, str | float | bytes] = {
        **dict.fromkeys(("created", "active"), 900.0),
        **dict.fromkeys(("folded_upto", "summarized_upto", "extracted_upto"), 0),
        **dict.fromkeys(("profile", "follows", "summary", "extract"), ""),
        "title": CANARIES["restored title"],
        "closed": "1",
    }
    said = Message("user", CANARIES["restored"], 900.0)
    return [
        SessionPiece(RESTORED, fields),
        MessagesPiece(RESTORED, 0, [(said, VECTOR)]),
        RecordPiece(record, VECTOR),
        StepPiece(RECORD, 0, RecordChange(1999.0, "created", step)),
    ]


class _OneVector:
    """An embedder that finds the same vector in all texts."""

    tag, local = TAG, True

    async def embed(self, texts: Sequence[str]) -> Vectors:
        return np.stack([VECTOR for _ in texts])
