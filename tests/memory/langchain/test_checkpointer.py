"""The checkpointer: LangGraph's own conformance suite, whole, and what it does not ask."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any, TypedDict, cast

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import (  # pyright: ignore[reportMissingTypeStubs]
    checkpointer_test,
    validate,
)
from langgraph.graph import StateGraph  # pyright: ignore[reportMissingTypeStubs]
from langgraph.graph.message import add_messages  # pyright: ignore[reportMissingTypeStubs]
from pydantic import BaseModel

from onionskin.memory.errors import CorruptValueError, InvalidInputError, ThreadGoneError
from onionskin.memory.langchain.checkpoint_serializer import PlainSerializer
from onionskin.memory.langchain.checkpointer import OnionskinSaver
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.store.langgraph_checkpoints import CheckpointRow, Thread
from onionskin.memory.types.messages import User
from tests.conftest import RedisClient


class _State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    steps: int


class Note(BaseModel):
    """A type of a program's own."""

    text: str


def _config(thread_id: str = "t", **more: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, **more}}


def _graph(saver: BaseCheckpointSaver[Any]) -> Any:
    """Answers with how many steps the thread had before."""

    def answer(state: _State) -> dict[str, Any]:
        steps = state.get("steps", 0) + 1
        return {"messages": [AIMessage(f"Step {steps}.")], "steps": steps}

    builder = StateGraph(_State)
    builder.add_node("answer", answer)  # pyright: ignore[reportUnknownMemberType]
    builder.set_entry_point("answer")
    builder.set_finish_point("answer")
    return builder.compile(checkpointer=saver)  # pyright: ignore[reportUnknownMemberType]


def _said(text: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


async def test_the_conformance_suite_is_passed_whole(onionskin: Onionskin, user: User) -> None:
    @checkpointer_test(name="OnionskinSaver")
    async def saver() -> AsyncGenerator[BaseCheckpointSaver[Any]]:
        yield OnionskinSaver(onionskin, user)

    report = (await validate(saver)).to_dict()
    for name, result in report["results"].items():
        assert result["passed"], (name, result["failures"])
        assert not result["tests_skipped"]
    assert report["conformance_level"] == "FULL"
    assert len(report["results"]) == 8


async def test_a_graph_goes_on_and_is_forked(onionskin: Onionskin, user: User) -> None:
    await _graph(OnionskinSaver(onionskin, user)).ainvoke(_said("One."), _config())
    state = await _graph(OnionskinSaver(onionskin, user)).ainvoke(_said("Two."), _config())
    assert [one.text for one in state["messages"]] == ["One.", "Step 1.", "Two.", "Step 2."]
    history = [
        one async for one in _graph(OnionskinSaver(onionskin, user)).aget_state_history(_config())
    ]
    assert [one.values.get("steps") for one in history] == [2, 1, 1, 1, None, None]
    forked = await _graph(OnionskinSaver(onionskin, user)).ainvoke(
        _said("Else."), history[2].config
    )
    assert [one.text for one in forked["messages"]][-2:] == ["Else.", "Step 2."]


def test_graphs_without_an_event_loop_are_kept_too(waiting: Onionskin, user: User) -> None:
    saver = OnionskinSaver(waiting, user)
    _graph(saver).invoke(_said("One."), _config())
    state = _graph(saver).invoke(_said("Two."), _config())
    assert state["steps"] == 2
    saver.copy_thread("t", "copy")
    saver.prune(["t"])
    assert [len(list(saver.list(_config(one)))) for one in ("t", "copy")] == [1, 6]
    saver.prune(["copy"], strategy="delete")
    left = [one.config.get("configurable", {}) for one in saver.list(None)]
    assert [one["thread_id"] for one in left] == ["t"]
    saver.delete_thread("t")
    assert not list(saver.list(None))


async def test_pruning_leaves_no_channel_behind(
    onionskin: Onionskin, user: User, redis: RedisClient
) -> None:
    saver = OnionskinSaver(onionskin, user)
    for number in range(4):
        await _graph(saver).ainvoke(_said(str(number)), _config())
    name = "onionskin:{default/alice}:thread:t:blobs"
    before = await redis.hlen(name)
    await saver.aprune(["t"])
    latest = await saver.aget_tuple(_config())
    assert latest
    assert await redis.hlen(name) == len(latest.checkpoint["channel_values"]) < before
    assert latest.checkpoint["channel_values"]["steps"] == 4
    with pytest.raises(InvalidInputError, match="some"):
        await saver.aprune(["t"], strategy="some")


async def test_one_graph_serves_many_users_and_no_thread_is_nobodys(onionskin: Onionskin) -> None:
    graph = _graph(OnionskinSaver(onionskin))
    for name in ("alice", "bob"):
        state = await graph.ainvoke(_said("Hello."), _config(user_id=name))
        assert state["steps"] == 1
    state = await graph.ainvoke(_said("Again."), _config(user_id="bob"))
    assert state["steps"] == 2
    with pytest.raises(InvalidInputError, match="user of the thread"):
        await graph.ainvoke(_said("Hello."), _config())
    with pytest.raises(InvalidInputError, match="does not name its user"):
        await OnionskinSaver(onionskin).adelete_thread("t")
    with pytest.raises(InvalidInputError, match="'bob'"):
        await OnionskinSaver(onionskin, User("alice")).aget_tuple(_config(user_id="bob"))


async def test_erasing_a_user_erases_their_threads_and_no_run_brings_them_back(
    onionskin: Onionskin, user: User, redis: RedisClient
) -> None:
    saver = OnionskinSaver(onionskin)
    for name in (user.id, "bob"):
        await _graph(saver).ainvoke(_said("My secret."), _config(user_id=name))
    found = await saver.aget_tuple(_config(user_id=user.id))
    assert found
    assert (await onionskin.store.deletion.erase_user(user)).keys >= 6
    with pytest.raises(ThreadGoneError, match="'t'"):
        await saver.aput(found.config, found.checkpoint, found.metadata, {})
    await saver.aput_writes(found.config, [("steps", 5)], "late")
    late = [name async for name in redis.scan_iter("*default/alice}*")]
    assert [await redis.ttl(name) > 0 for name in late] == [True]  # no checkpoint comes: it goes
    assert await saver.aget_tuple(_config(user_id=user.id)) is None
    assert await saver.aget_tuple(_config(user_id="bob"))


async def test_writes_that_come_before_their_checkpoint_stay(
    onionskin: Onionskin, user: User, redis: RedisClient
) -> None:
    saver = OnionskinSaver(onionskin, user)
    first: dict[str, Any] = {
        "v": 1,
        "id": "1",
        "ts": "",
        "channel_values": {},
        "channel_versions": {},
    }
    config = _config(checkpoint_ns="", checkpoint_id="1")
    await saver.aput_writes(config, [("c", "early")], "task")
    checkpoint = cast("Any", {**first, "versions_seen": {}, "updated_channels": None})
    await saver.aput(_config(checkpoint_ns=""), checkpoint, {}, {})
    found = await saver.aget_tuple(config)
    assert found
    assert found.pending_writes == [("task", "c", "early")]
    assert await redis.ttl("onionskin:{default/alice}:thread:t:writes::1") == -1


async def test_only_types_that_are_known_or_allowed_are_built(
    onionskin: Onionskin, user: User
) -> None:
    packed = OnionskinSaver(onionskin, user).serde.dumps_typed([Note(text="x"), HumanMessage("y")])
    assert OnionskinSaver(onionskin, user).serde.loads_typed(packed) == [
        {"text": "x"},
        HumanMessage("y"),
    ]
    allowing = OnionskinSaver(onionskin, user, allow=[Note])
    assert allowing.serde.loads_typed(packed) == [Note(text="x"), HumanMessage("y")]


@pytest.mark.parametrize("kind", ["pickle", "json", "other"])
async def test_what_could_name_any_code_is_never_read(
    kind: str, onionskin: Onionskin, user: User
) -> None:
    stored = (kind, b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(CorruptValueError, match=kind):
        PlainSerializer().loads_typed(stored)
    await onionskin.store.langgraph_checkpoints.put(
        Thread(user, "t"), CheckpointRow("", "1", "", stored, stored), {}
    )
    with pytest.raises(CorruptValueError, match=kind):
        await OnionskinSaver(onionskin, user).aget_tuple(_config())


async def test_a_channel_of_deltas_keeps_its_base(onionskin: Onionskin, user: User) -> None:
    saver, thread = OnionskinSaver(onionskin, user), Thread(user, "t")
    for number, parent in enumerate(["", "0", "1", "2"]):
        bare = {"id": str(number), "channel_versions": {"d": "1"} if number == 1 else {}}
        counted = {"counters_since_delta_snapshot": {"d": (1, 1)}}
        packed, metadata = map(saver.serde.dumps_typed, (bare, counted))
        row = CheckpointRow("", str(number), parent, packed, metadata)
        held = {("d", "1"): saver.serde.dumps_typed("snapshot")} if number == 1 else {}
        await onionskin.store.langgraph_checkpoints.put(thread, row, held)
    await saver.aprune(["t"])
    left = [one.checkpoint["id"] async for one in saver.alist(_config())]
    assert left == ["3", "2", "1"]
