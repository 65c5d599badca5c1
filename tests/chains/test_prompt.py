"""The prompt's order, and the sections of each profile."""

import itertools
from collections.abc import Callable, Sequence

import pytest
from langchain_core.messages import BaseMessage

from onionskin.chains.prompt import build_prompt
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import SummaryState, User

_Memories = Callable[[str], CombinedMemory]


async def _say(
    memory: CombinedMemory, user: User, text: str, *, now: float, session_id: str | None = None
) -> tuple[Sequence[BaseMessage], str]:
    recalled_memories = await memory.recall(user, text, session_id=session_id, now=now)
    committed = await memory.remember(recalled_memories, f"Reply to: {text}", at=now)
    return build_prompt(recalled_memories), committed.session_id


async def test_the_stable_part_of_the_prompt_is_a_prefix_of_the_next_turns(
    memory_of: _Memories, user: User
) -> None:
    memory, prompts = memory_of("layered"), list[Sequence[BaseMessage]]()
    for number in range(5):
        prompt, _ = await _say(memory, user, f"Remark number {number}.", now=1000.0 + number)
        prompts.append(prompt)
    for earlier, later in itertools.pairwise(prompts):
        assert later[: len(earlier) - 1] == earlier[:-1]


async def test_a_message_is_in_the_prompt_once(memory_of: _Memories, user: User) -> None:
    memory = memory_of("layered")
    for number in range(30):
        await _say(memory, user, f"The colour of house {number} is blue.", now=1000.0 + number)
    prompt, _ = await _say(memory, user, "Which houses are blue?", now=1100.0)
    text = "\n".join(str(message.text) for message in prompt)
    for number in range(30):
        assert text.count(f"colour of house {number} is") in {0, 2}  # the message and its reply


@pytest.mark.parametrize(
    ("profile", "window", "summary", "recalled"),
    [
        ("layered", True, True, True),
        ("window", True, False, False),
        ("summary", True, True, False),
        ("vector", False, False, True),
        ("none", False, False, False),
    ],
)
async def test_each_profile_shows_its_layers_of_the_same_session(
    memory_of: _Memories,
    store: RedisStore,
    user: User,
    profile: str,
    window: bool,
    summary: bool,
    recalled: bool,
) -> None:
    layered = memory_of("layered")
    session_id = ""
    for number in range(12):
        text = "The safe opens with 4711." if number == 0 else f"Small talk {number}."
        _, session_id = await _say(layered, user, text, now=1000.0 + number)
    fold = (await store.sessions.get(user, session_id)).summary_state
    await store.sessions.save_summary(
        user, session_id, fold, SummaryState(12, 12, "They talked about a zeppelin.", "")
    )
    memory = memory_of(profile)
    recalled_memories = await memory.recall(
        user, "What opens the safe?", session_id=session_id, now=1100.0
    )
    prompt = build_prompt(recalled_memories)
    middle = "\n".join(str(message.text) for message in prompt[1:-1])
    assert ("Small talk 11." in middle) == window
    assert ("zeppelin" in str(prompt[0].text)) == summary
    assert ("4711" in str(prompt[-1].text)) == recalled
    assert str(prompt[-1].text).endswith("What opens the safe?")
    if profile == "none":
        assert [str(message.text) for message in prompt] == ["What opens the safe?"]


async def test_a_new_session_starts_from_earlier_ones(
    memory_of: _Memories, store: RedisStore, user: User
) -> None:
    memory = memory_of("layered")
    folded = unfolded = ""
    for number in range(14):
        _, folded = await _say(memory, user, f"Folded {number}.", now=1000.0 + number)
    await store.sessions.save_summary(
        user, folded, SummaryState(), SummaryState(28, 28, "A summary of the first.", "")
    )
    await store.sessions.close(user, folded)
    _, unfolded = await _say(memory, user, "Never folded.", now=2000.0)
    prompt, latest = await _say(memory, user, "Hello again.", now=1_000_000.0)
    head = str(prompt[0].text)
    assert len({folded, unfolded, latest}) == 3
    assert head.index("A summary of the first.") < head.index('"Never folded."')
    await store.sessions.delete(user, unfolded)
    prompt, _ = await _say(memory, user, "And now?", now=1_000_001.0)
    assert "Never folded." not in "\n".join(str(message.text) for message in prompt)
    assert "A summary of the first." in str(prompt[0].text)
