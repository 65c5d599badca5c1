"""Hooks: their errors are logged by name and place, without what the user said."""

import logging

import pytest

from onionskin.memory.hooks import AfterTurn, Hook, run_hooks
from onionskin.memory.types.messages import Entry, Message, User


async def test_an_error_is_logged_without_its_text_and_the_next_hook_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    called: list[str] = []

    def failing(turn: AfterTurn) -> None:
        raise ValueError(turn.messages[0].message.content)

    async def next_one(turn: AfterTurn) -> None:
        called.append(turn.turn_id)

    entry = Entry("s_1", 0, Message("user", "a secret", 1.0))
    turn = AfterTurn(User("ann"), "s_1", "s_1.0", "layered", (entry,))
    with caplog.at_level(logging.ERROR, "onionskin.hooks"):
        await run_hooks([Hook("own.failing", failing), Hook("own.next", next_one)], turn)
    (record,) = caplog.records
    assert (getattr(record, "hook", ""), getattr(record, "error", "")) == (
        *("own.failing", "ValueError"),
    )
    assert "test_hooks.py:" in getattr(record, "at", "")
    assert "a secret" not in str(vars(record))
    assert called == ["s_1.0"]
