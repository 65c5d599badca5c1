"""Profiles as LangChain's classic memories, in LangChain's own chain and CombinedMemory."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_classic.chains import ConversationChain
from langchain_classic.memory import CombinedMemory
from langchain_core.messages import SystemMessage

from chains.classic_memory import StrataMemory
from chains.offline import OfflineChatModel
from memory.errors import InvalidInputError
from memory.langchain.named import session_named
from memory.langchain.opening import Strata, strata_in_thread
from memory.store.reading import get_session
from memory.types import User
from tests.conftest import RedisClient

_TOLD, _ASKED = "My dog is called Biscuit.", "What is my dog called?"


@pytest.fixture
def strata(redis: RedisClient, redis_url: str) -> Iterator[Strata]:
    assert redis
    with strata_in_thread(redis_url) as opened:
        yield opened


def _chain(memory: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return ConversationChain(llm=OfflineChatModel(), memory=memory)


def test_a_classic_chain_remembers_across_sessions_and_restarts(
    strata: Strata, user: User, redis_url: str
) -> None:
    _chain(StrataMemory(strata=strata, user=user, session="one")).invoke({"input": _TOLD})
    with strata_in_thread(redis_url) as another:
        memory = StrataMemory(strata=another, user=user, session="two")
        assert _TOLD in memory.load_memory_variables({"input": _ASKED})["history"]
        stranger = StrataMemory(strata=another, user=User("bob"), session="one")
        assert stranger.load_memory_variables({"input": _ASKED}) == {"history": ""}


@pytest.mark.parametrize("profile", ["window", "summary", "vector", "facts", "layered"])
def test_each_layer_is_a_memory(strata: Strata, user: User, profile: str) -> None:
    memory = StrataMemory(strata=strata, user=user, session="s", profile=profile)
    assert memory.memory_variables == ["history"]
    memory.save_context({"input": _TOLD}, {"output": "A fine name."})
    later = StrataMemory(strata=strata, user=user, session="s", profile=profile)
    said = later.load_memory_variables({"input": _ASKED})["history"]
    assert ("Biscuit" in said) == (profile != "facts")
    memory.clear()
    assert "Biscuit" not in later.load_memory_variables({"input": _ASKED})["history"]


def test_messages_are_returned_where_they_are_wanted(strata: Strata, user: User) -> None:
    memory = StrataMemory(strata=strata, user=user, session="s", return_messages=True)
    memory.save_context({"input": _TOLD}, {"output": "A fine name."})
    *_, said, replied = memory.load_memory_variables({"input": _ASKED})["history"]
    assert (said.text, replied.text) == (_TOLD, "A fine name.")


def test_layers_stand_side_by_side_in_langchains_combined_memory(
    strata: Strata, user: User
) -> None:
    kept: dict[str, Any] = {"strata": strata, "user": user, "session": "s", "input_key": "input"}
    combined = CombinedMemory(
        memories=[
            StrataMemory(**kept, profile="window", memory_key="window"),
            StrataMemory(**kept, profile="vector", memory_key="recalled", saves=False),
        ]
    )
    combined.save_context({"input": _TOLD}, {"output": "A fine name."})
    loaded = combined.load_memory_variables({"input": _ASKED})
    assert all("Biscuit" in loaded[name] for name in ("window", "recalled"))
    found = strata.portal.wait(get_session(strata.store, user, session_named("s")))
    assert found.length == 2


def test_what_is_private_is_not_stored_and_what_is_said_must_be_clear(
    strata: Strata, user: User
) -> None:
    memory = StrataMemory(strata=strata, user=user, session="s", return_messages=True)
    inputs = {"input": "My pin is <private>1234</private>."}
    assert memory.load_memory_variables(inputs) == {"history": []}
    memory.save_context(inputs, {"output": "It is 1234."})
    loaded = memory.load_memory_variables({"input": "What is my pin?"})["history"]
    assert not any("1234" in one.text for one in loaded)
    with pytest.raises(InvalidInputError, match="input_key"):
        memory.load_memory_variables({"a": "x", "b": "y"})
    chosen = StrataMemory(strata=strata, user=user, session="s", input_key="b")
    chosen.save_context({"a": "x", "b": SystemMessage("y")}, {"output": "z"})
