"""LangChain's classic memories as layers: each says what it should, after a restart too."""

from collections.abc import Callable

import pytest

from onionskin.chains.models.offline import OfflineChatModel
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.layers.langchain_classic import ClassicLayer
from onionskin.memory.layers.langchain_classic_factories import ClassicOptions, Sources
from onionskin.memory.profiles import load_profiles
from onionskin.memory.retrieval import IndexCache, StaticEmbedder
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import User

_CLASSIC = [name for name in load_profiles() if name.startswith("classic-")]
_BY_MODEL = {"classic-entity", "classic-summary"}  # the offline model fails them
_STATEMENT = "My dog is called Biscuit."


async def _turn(
    memory: CombinedMemory, user: User, text: str, reply: str, session_id: str | None
) -> tuple[str, str]:
    """The session, and what the classic memory put into the prompt."""
    recollection = await memory.recall(user, text, session_id=session_id, now=1000.0)
    committed = await memory.remember(recollection, reply, at=1000.0)
    return committed.session_id, recollection.sections[0].text


@pytest.mark.parametrize("name", _CLASSIC)
async def test_a_classic_memory_remembers_also_in_another_worker(
    name: str, memory_of: Callable[[str], CombinedMemory], user: User
) -> None:
    one = memory_of(name)
    session_id, text = await _turn(one, user, _STATEMENT, "A fine name.", None)
    assert "Biscuit" not in text
    _, text = await _turn(one, user, "What is my dog called?", "Biscuit.", session_id)
    if name not in _BY_MODEL:
        assert "Biscuit" in text
    _, again = await _turn(memory_of(name), user, "What is my dog called?", "As said.", session_id)
    _, still = await _turn(one, user, "What is my dog called?", "As said.", session_id)
    assert bool(again) == bool(still)
    if name not in _BY_MODEL:
        assert "Biscuit" in again


async def test_a_window_of_k_forgets_what_is_older(
    store: RedisStore, embedder: StaticEmbedder, views: IndexCache, user: User
) -> None:
    profile = load_profiles()["classic-buffer-window"]
    memory = CombinedMemory("w", profile, store=store, embedder=embedder, indexes=views)
    session_id, text = None, ""
    for number in range(7):
        session_id, text = await _turn(memory, user, f"Number {number}.", "Yes.", session_id)
    assert "Number 5" in text
    assert "Number 0" not in text


async def test_users_are_kept_apart(memory_of: Callable[[str], CombinedMemory], user: User) -> None:
    memory = memory_of("classic-vector")
    session_id, _ = await _turn(memory, user, _STATEMENT, "A fine name.", None)
    other, _ = await _turn(memory, User("bob"), "Hello.", "Hi.", None)
    _, text = await _turn(memory, User("bob"), "What is my dog called?", "?", other)
    assert "Biscuit" not in text
    _, text = await _turn(memory, user, "What is my dog called?", "?", session_id)
    assert "Biscuit" in text


def test_one_that_needs_a_model_says_so(store: RedisStore, embedder: StaticEmbedder) -> None:
    options = ClassicOptions("ConversationSummaryMemory")
    with pytest.raises(ConfigurationError, match="chat model"):
        ClassicLayer.of(options, Sources(store, embedder))
    assert ClassicLayer.of(options, Sources(store, embedder, OfflineChatModel())).name == "classic"
