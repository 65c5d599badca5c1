"""Budgets follow the model's context window, and every prompt fits it."""

from pathlib import Path

import pytest

from onionskin.chains.prompt import build_prompt
from onionskin.memory.combined import SHORTENED, CombinedMemory
from onionskin.memory.context_window import DEFAULT_CONTEXT, ContextWindow
from onionskin.memory.profiles import load_profiles
from onionskin.memory.retrieval import IndexCache, StaticEmbedder
from onionskin.memory.store import RedisStore
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.messages import User

_PROSE = "The tenant pays the rent in advance on the first working day of the month. "


def test_default_budgets_are_those_of_the_default_window() -> None:
    assert load_profiles(None, ContextWindow(DEFAULT_CONTEXT)) == load_profiles()


@pytest.mark.parametrize("tokens", [4096, 8192, 32_768, 131_072])
def test_the_budgets_of_a_profile_and_a_message_fit_the_window(tokens: int) -> None:
    context = ContextWindow(tokens)
    for profile in load_profiles(None, context).values():
        assert sum(profile.budgets.values()) < context.prompt_tokens * 0.85
    assert context.prompt_tokens < tokens


def test_budgets_of_the_file_stay_and_others_follow_the_window(tmp_path: Path) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text('[profiles.x]\nlayers = ["window", "vector"]\nwindow.budget_tokens = 777\n')
    small = load_profiles(file, ContextWindow(4096))["x"]
    assert small.window.budget_tokens == 777
    assert small.window.exchange_tokens == 1500
    assert small.vector.budget_tokens == 150
    large = load_profiles(file, ContextWindow(131_072))["x"]
    assert (large.window.budget_tokens, large.window.exchange_tokens) == (777, 48_000)


@pytest.mark.parametrize("tokens", [2048, 4096, 8192])
@pytest.mark.parametrize("name", ["layered", "window", "summary", "none", "classic-buffer"])
@pytest.mark.parametrize("characters", [40, 4000, 32_000])
async def test_every_prompt_fits_the_window(
    tokens: int,
    name: str,
    characters: int,
    store: RedisStore,
    embedder: StaticEmbedder,
    views: IndexCache,
    user: User,
) -> None:
    context = ContextWindow(tokens)
    # Budgets of the default window: what is set explicitly can be too large for the model.
    memory = CombinedMemory(
        name,
        load_profiles()[name],
        store=store,
        embedder=embedder,
        indexes=views,
        context=context,
    )
    session_id = None
    for number in range(4):
        text = f"START{number} " + _PROSE * 60 + f" END{number}"
        recalled = await memory.recall(user, text, session_id=session_id, now=1000.0 + number)
        committed = await memory.remember(recalled, _PROSE * 50, at=1000.0 + number)
        session_id = committed.session_id
    question = ("BEGIN " + _PROSE * 500)[:characters] + " FINISH"
    recalled = await memory.recall(user, question, session_id=session_id, now=2000.0)
    prompt = build_prompt(recalled)
    texts = [str(message.text) for message in prompt]
    assert sum(count_tokens(text) + 4 for text in texts) <= context.prompt_tokens
    assert "BEGIN" in texts[-1]
    assert texts[-1].endswith("FINISH")
    if name in {"layered", "window", "summary"}:
        assert "START3" in "".join(texts[:-1])
        assert SHORTENED in recalled.degraded
