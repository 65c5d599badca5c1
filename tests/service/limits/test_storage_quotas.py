"""Room: so many bytes and memories for a user and for a tenant, and what counts them."""

from pathlib import Path

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import RedisStore
from onionskin.memory.transfer.exporter import export_user
from onionskin.memory.transfer.upload import UploadHandler
from onionskin.memory.types.messages import Message, Session, User
from tests.conftest import RedisClient, make_views
from tests.services import running_service


def _say(client: httpx.Client, message: str) -> httpx.Response:
    return client.post("/v1/chat", json={"user_id": "ann", "message": message})


def test_a_full_user_gets_an_error_and_can_make_room(tmp_path: Path) -> None:
    chosen = {"ONIONSKIN_MODEL": "offline", "ONIONSKIN_BUDGET_USER_BYTES": "3000"}
    with running_service(tmp_path, **chosen) as service, service.client() as client:
        session = _say(client, "x" * 3000).json()["session_id"]
        full = _say(client, "And one more.")
        assert (full.status_code, full.json()["code"]) == (507, "room_full")
        assert "3,000 bytes" in full.json()["detail"]
        for url, body in (
            ("memories", {"content": "A fact."}),
            ("memories/batch", {"memories": [{"content": "A fact."}]}),
            (f"sessions/{session}/fork", {}),
        ):
            assert client.post(f"/v1/users/ann/{url}", json=body).status_code == 507
        lines = b'{"role": "user", "content": "Hello."}\n'
        assert client.post("/v1/users/ann/import", content=lines).status_code == 507
        other = {"user_id": "bob", "message": "Hello."}
        assert client.post("/v1/chat", json=other).is_success
        assert client.delete(f"/v1/users/ann/sessions/{session}").is_success
        assert _say(client, "Now there is room.").is_success


def test_a_tenants_room_counts_all_its_users(tmp_path: Path) -> None:
    chosen = {"ONIONSKIN_MODEL": "offline", "ONIONSKIN_BUDGET_TENANT_MEMORIES": "1"}
    with running_service(tmp_path, **chosen) as service:
        with service.client() as client:
            url = "/v1/users/bob/memories"
            assert client.post(url, json={"content": "A fact."}).is_success
        service.kill()
    with running_service(tmp_path, **chosen) as service, service.client() as client:
        assert _say(client, "Hello.").status_code == 507


async def _weight(redis: RedisClient) -> int:
    """What the messages, records and vectors in Redis come to."""
    total = 0
    async for name in redis.scan_iter("*"):
        sort = name.decode().partition("}:")[2]
        if sort.startswith("messages:"):
            total += sum(map(len, await redis.lrange(name, 0, -1)))
        elif sort in ("records", "vectors"):
            total += sum(map(len, await redis.hvals(name)))
    return total


_STEPS = st.lists(
    st.tuples(st.sampled_from(["say", "keep", "change", "forget", "fork", "drop"]), st.text()),
    max_size=12,
)


async def test_the_count_is_what_is_stored_whatever_was_done(
    store: RedisStore, embedder: StaticEmbedder, redis: RedisClient
) -> None:
    plans: list[list[tuple[str, str]]] = []

    @settings(max_examples=25, deadline=None)
    @given(steps=_STEPS)
    def run(steps: list[tuple[str, str]]) -> None:
        plans.append(steps)

    run()
    for number, steps in enumerate(plans):
        await redis.flushall()
        user = User(f"user {number}")
        memories = RecordService(store, make_views(store), embedder)
        for step, text in steps:
            await _do(step, text or "nothing", user, store, memories, embedder)
        room = await store.users.storage(user)
        assert room.bytes == await _weight(redis), steps
        assert await store.users.tenant_storage(user.tenant) == room


async def test_what_is_restored_counts(store: RedisStore, embedder: StaticEmbedder) -> None:
    ann, bob = User("ann"), User("bob")
    pair = [(Message("user", "Hello.", 1.0), (await embedder.embed(["Hello."]))[0])]
    await store.transcripts.commit(ann, Session("s_0123456789abcdef", 1.0, 1.0), pair, create=True)
    await RecordService(store, make_views(store), embedder).create(ann, [{"content": "A fact."}])
    intake = UploadHandler(store, embedder, clock=lambda: 2.0, on_task=lambda _: None)
    await intake.run(bob, "copy", export_user(store, ann))
    assert await store.users.storage(bob) == await store.users.storage(ann)


async def _do(
    step: str,
    text: str,
    user: User,
    store: RedisStore,
    memories: RecordService,
    embedder: StaticEmbedder,
) -> None:
    sessions = await store.sessions.list(user, after=None, count=10)
    records = list(await memories.index(user))
    match step:
        case "say":
            vector = (await embedder.embed([text]))[0]
            pairs = [(Message("user", text, 1.0), vector), (Message("assistant", text, 1.0), None)]
            session = sessions[0] if sessions else Session("s_0", 1.0, 1.0)
            await store.transcripts.commit(user, session, pairs, create=True)
        case "keep":
            await memories.create(user, [{"content": text}])
        case "change" if records:
            await memories.update(user, records[0].id, {"content": text * 2})
        case "forget" if records:
            await memories.delete(user, [records[0].id])
        case "fork" if sessions:
            await store.sessions.fork(user, sessions[0].id, now=2.0)
        case "drop" if sessions:
            await store.sessions.delete(user, sessions[-1].id)
        case _:
            return
