"""Profiles from TOML: built in, added, replaced, refused; and every layer keeps one contract."""

from collections.abc import Callable
from pathlib import Path

import pytest

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.layers.langchain_classic_factories import Sources
from onionskin.memory.profiles import build_layers, load_profiles
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import SummaryState, User
from tests.conftest import make_views

_NATIVE = ("layered", "window", "summary", "vector", "facts", "none")
_Memories = Callable[[str], CombinedMemory]


def test_the_built_in_profiles_are_there(store: RedisStore, embedder: StaticEmbedder) -> None:
    profiles = load_profiles()
    assert tuple(profiles)[: len(_NATIVE)] == _NATIVE
    assert all(name.startswith("classic-") for name in tuple(profiles)[len(_NATIVE) :])
    layers = build_layers(profiles["layered"], Sources(store, embedder))
    assert [layer.name for layer in layers] == ["window", "summary", "facts", "vector"]


def test_a_file_adds_and_replaces(tmp_path: Path) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text('[profiles.window]\nlayers = []\n[profiles.mine]\nlayers = ["vector"]\n')
    profiles = load_profiles(file)
    assert set(profiles) - set(load_profiles()) == {"mine"}
    assert profiles["window"].layers == ()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[profiles.x]\nlayers = ["windw"]', "windw"),
        ('[profiles.x]\nlayers = ["window"]\n[profiles.x.window]\nkeep = 3', "keep"),
        ('[profiles.x]\nlayers = ["window"]\n[profiles.x.window]\nkeep_pairs = 0', "keep_pairs"),
        ("[profiles.x]\nlayers = 3", "layers"),
        ("not toml at all", "profiles.toml"),
    ],
)
def test_a_file_that_says_something_unknown_is_refused(
    tmp_path: Path, text: str, named: str
) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=named):
        load_profiles(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        load_profiles(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("profile", _NATIVE)
async def test_every_section_keeps_its_budget_and_nothing_is_shown_twice(
    memory_of: _Memories,
    store: RedisStore,
    embedder: StaticEmbedder,
    user: User,
    profile: str,
) -> None:
    writer = memory_of("layered")
    records = RecordService(store, make_views(store), embedder)
    kinds = ("fact", "preference")
    await records.create(
        user, [{"content": f"The sea, {n}. " * 9, "kind": kinds[n % 2]} for n in range(80)]
    )
    for number in range(80):
        text = f"Item {number}: " + "some rather long story about the sea and its ships " * 8
        recollection = await writer.recall(user, text, session_id=None, now=1000.0 + number)
        await writer.remember(recollection, f"Reply {number}.", at=1000.0 + number)
    memory = memory_of(profile)
    recollection = await memory.recall(user, "the sea", session_id=None, now=1100.0)
    budgets = load_profiles()[profile]
    most = {
        "window": budgets.window.budget_tokens,
        "summary": budgets.summary.budget_tokens
        + budgets.summary.carry_tokens
        + budgets.window.budget_tokens,
        "facts": budgets.facts.pinned_tokens + budgets.facts.budget_tokens,
        "vector": budgets.vector.budget_tokens,
    }
    shown: list[str] = []
    for section in recollection.sections:
        assert 0 < section.tokens <= most[section.layer]
        shown += [entry.id for entry in section.messages]
        shown += [hit.entry.id for hit in section.hits]
    assert len(shown) == len(set(shown))
    assert [section.layer for section in recollection.sections] == list(budgets.layers)


@pytest.mark.parametrize("profile", _NATIVE)
async def test_every_profile_answers_a_user_nobody_knows(
    memory_of: _Memories, user: User, profile: str
) -> None:
    memory = memory_of(profile)
    recollection = await memory.recall(user, "Hello.", session_id=None, now=1000.0)
    assert recollection.turn.snapshot.is_new
    assert all(section.tokens == 0 for section in recollection.sections)
    committed = await memory.remember(recollection, "Hello!", at=1001.0)
    again = await memory.recall(user, "Again.", session_id=None, now=1002.0)
    assert again.turn.snapshot.session.id == committed.session_id


async def test_a_profile_may_change_on_a_live_session(
    memory_of: _Memories, store: RedisStore, user: User
) -> None:
    session_id = None
    for number, profile in enumerate(_NATIVE * 3):
        memory = memory_of(profile)
        recollection = await memory.recall(
            user, f"Turn {number}.", session_id=session_id, now=1000.0 + number
        )
        session_id = (await memory.remember(recollection, "Yes.", at=1000.0 + number)).session_id
    snapshot = await store.transcripts.load_turn(user, session_id, now=2000.0, since=None)
    assert snapshot.session.length == 2 * len(_NATIVE * 3)
    assert snapshot.session.summary_state == SummaryState()
    assert [entry.position for entry in snapshot.unfolded] == list(range(2 * len(_NATIVE * 3)))
