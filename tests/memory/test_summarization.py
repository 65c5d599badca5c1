"""When folds are due, and what is folded at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionskin.memory.layers.window import exchange_start, fit_earlier, window_tokens
from onionskin.memory.summarization import (
    SummaryPolicy,
    compact_overflow,
    fallback_summary,
    next_compaction,
    select_lines,
)
from onionskin.memory.tokens import clip_tokens, count_tokens
from onionskin.memory.types.messages import Entry, Message, Role, Session, SummaryState

_POLICY = SummaryPolicy(keep_pairs=2, messages=4, tokens=100, window_tokens=200, summary_tokens=80)
_ROLES: tuple[Role, Role] = ("user", "assistant")


def _entries(count: int, *, first: int = 0, words: int = 2) -> tuple[Entry, ...]:
    return tuple(
        Entry("s_1", position, Message(_ROLES[position % 2], f"w{position} " * words, 0.0))
        for position in range(first, first + count)
    )


def _session(length: int, fold: SummaryState | None = None) -> Session:
    return Session("s_1", 0.0, 0.0, length=length, summary_state=fold or SummaryState())


@pytest.mark.parametrize(("count", "target"), [(4, None), (8, None), (9, 6), (10, 6), (20, 16)])
def test_a_fold_is_due_past_the_kept_pairs_and_the_slack(count: int, target: int | None) -> None:
    assert next_compaction(_POLICY, _session(count), _entries(count)) == target


def test_many_tokens_make_a_fold_due_before_many_messages_do() -> None:
    assert next_compaction(_POLICY, _session(6), _entries(6, words=2)) is None
    assert next_compaction(_POLICY, _session(6), _entries(6, words=80)) == 2


def test_an_extract_is_due_to_be_redone() -> None:
    fold = SummaryState(compacted_upto=4, summarized_upto=2, fallback_summary="user: something")
    assert next_compaction(_POLICY, _session(6, fold), _entries(2, first=4)) == 4


def test_a_window_begins_with_what_the_user_said() -> None:
    lone = (Entry("s_1", 0, Message("user", "alone", 0.0)), *_entries(11, first=1))
    target = next_compaction(_POLICY, _session(12), lone)
    assert target is not None
    assert lone[target].message.role == "user"


@given(words=st.lists(st.integers(0, 200), max_size=30), folded=st.integers(0, 5))
def test_what_overflows_is_folded_and_the_rest_fits(words: list[int], folded: int) -> None:
    unfolded = tuple(
        Entry("s_1", folded + place, Message(_ROLES[place % 2], "word " * count, 0.0))
        for place, count in enumerate(words)
    )
    read = SummaryState(compacted_upto=folded, summarized_upto=folded)
    fold, kept = compact_overflow(_POLICY, read, unfolded)
    newest = exchange_start(kept)
    earlier, _ = fit_earlier(kept[:newest], _POLICY.window_tokens)
    assert window_tokens(earlier) <= _POLICY.window_tokens
    assert kept[newest:] == unfolded[exchange_start(unfolded) :]
    assert fold.compacted_upto - folded + len(kept) == len(unfolded)
    assert kept == unfolded[len(unfolded) - len(kept) :]
    assert fold.summarized_upto == folded
    assert count_tokens(fold.fallback_summary) <= _POLICY.summary_tokens
    if window_tokens(unfolded) <= _POLICY.window_tokens:
        assert fold is read


def test_the_newest_exchange_is_never_compacted_or_summarized() -> None:
    unfolded = _entries(10, words=4000)
    state, kept = compact_overflow(_POLICY, SummaryState(), unfolded)
    assert kept == unfolded[-3:]
    assert state.compacted_upto == len(unfolded) - len(kept)
    policy = SummaryPolicy(keep_pairs=1, messages=0, tokens=0)
    assert next_compaction(policy, _session(2), _entries(2, words=4000)) is None
    assert next_compaction(policy.final, _session(2), _entries(2, words=4000)) == 2


@given(lines=st.lists(st.text(max_size=80)), budget=st.integers(0, 60))
def test_an_extract_keeps_order_and_budget(lines: list[str], budget: int) -> None:
    kept = select_lines(lines, budget_tokens=budget)
    assert sum(count_tokens(line) + 1 for line in kept) <= budget
    rest = iter(lines)
    assert all(line in rest for line in kept)


def test_an_extract_prefers_what_people_say_of_themselves() -> None:
    said = ("Ok.", "I was born in Lima in 1987.", "What do you think about it?", "Yes.")
    entries = [Entry("s_1", place, Message("user", text, 0.0)) for place, text in enumerate(said)]
    assert fallback_summary("", entries, budget_tokens=11) == "user: I was born in Lima in 1987."


@given(text=st.text(max_size=300), budget=st.integers(0, 50))
def test_clipping_keeps_the_budget_and_a_beginning(text: str, budget: int) -> None:
    clipped = clip_tokens(text, budget)
    assert count_tokens(clipped) <= budget
    assert clipped == text or text.startswith(clipped.removesuffix("…"))
