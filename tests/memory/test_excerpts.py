"""Long texts shortened: budgets, whole characters, code fences, arguments that stay JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionskin.memory.excerpts import (
    level,
    message_tokens,
    omitted_note,
    shorten,
    shorten_entries,
    shorten_message,
)
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.messages import Entry, Message, ToolCall, ToolResult

_FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
_LONG = {
    "prose": "The quick brown fox jumps over the lazy dog. " * 400,
    "no spaces": "x" * 20_000,
    "lines": "def f():\n    return 1\n" * 1000,
    "one line of JSON": json.dumps({"items": list(range(5000))}),
    "Japanese": "吾輩は猫である。" * 2000,
    "families": _FAMILY * 3000,
    "combining": "e\u0301" * 10_000,
    "flags": "\U0001f1f5\U0001f1f9" * 5000,
}


@pytest.mark.parametrize("kind", _LONG)
@pytest.mark.parametrize("budget", [100, 1000, 3000])
def test_head_and_tail_stay_with_a_note_of_what_is_left_out(kind: str, budget: int) -> None:
    text = _LONG[kind]
    short = shorten(text, budget)
    assert count_tokens(short) <= budget
    head, note, tail = (part.strip("\n") for part in _parts(short))
    assert text.startswith(head)
    assert text.endswith(tail.strip("\n")) or text.rstrip("\n").endswith(tail)
    assert len(head) > budget // 4
    assert len(tail) > budget // 4
    assert abs(int(note.replace(",", "")) - (len(text) - len(head) - len(tail))) <= 4


@pytest.mark.parametrize("kind", ["families", "combining", "flags"])
def test_no_cut_is_within_a_character(kind: str) -> None:
    text = _LONG[kind]
    unit = text[: len(_FAMILY)] if kind == "families" else text[:2]
    for budget in range(100, 112):
        head, _, tail = _parts(shorten(text, budget))
        assert head.strip("\n").replace(unit, "") == ""
        assert tail.strip("\n").replace(unit, "") == ""


@given(text=st.text(max_size=400), budget=st.integers(0, 120))
def test_a_budget_is_kept_and_a_text_that_fits_is_unchanged(text: str, budget: int) -> None:
    short = shorten(text, budget)
    assert count_tokens(short) <= budget
    assert count_tokens(text) > budget or short == text


def test_a_code_fence_is_closed_before_the_note_and_opened_after_it() -> None:
    code = "Here:\n```python\n" + "print(1)\n" * 4000 + "```\nDone."
    short = shorten(code, 200)
    head, _, tail = _parts(short)
    assert head.endswith("print(1)\n```\n")
    assert tail.startswith("\n```python\nprint(1)\n")
    assert tail.endswith("```\nDone.")
    outside = shorten("```\nx\n```\n" + "prose " * 4000, 200)
    assert outside.count("```") == 2


def test_arguments_of_a_shortened_call_stay_json() -> None:
    arguments = json.dumps({"sql": 'SELECT "a"\n' * 3000})
    message = Message(
        "assistant",
        "",
        0.0,
        calls=(ToolCall("c1", "query", arguments),),
        results=(ToolResult("c0", "read", "row\n" * 9000),),
    )
    short = shorten_message(message, 1000)
    assert message_tokens(short) <= 1000
    assert "omitted" in json.loads(short.calls[0].arguments)["shortened"]
    assert "omitted" in short.results[0].content
    assert shorten_message(message, 100_000) is message


def test_a_common_budget_is_taken_from_the_longest() -> None:
    sizes = [10, 4000, 40, 8000]
    entries = [
        Entry("s_1", place, Message("user", "word " * size, 0.0))
        for place, size in enumerate(sizes)
    ]
    shown, shortened = shorten_entries(entries, 3000)
    assert shortened == ("s_1:1", "s_1:3")
    assert sum(message_tokens(entry.message) for entry in shown) <= 3000
    assert shown[0] is entries[0]
    assert shown[2] is entries[2]


@given(sizes=st.lists(st.integers(1, 100), min_size=1), budget=st.integers(0, 2000))
def test_a_level_fills_the_budget(sizes: list[int], budget: int) -> None:
    cap = level(sizes, budget)
    assert sum(min(size, cap) for size in sizes) <= budget
    if sum(sizes) > budget:
        assert sum(min(size, cap + 1) for size in sizes) > budget


def _parts(short: str) -> tuple[str, str, str]:
    """Head, number of omitted characters, and tail."""
    before, after = omitted_note(7).split("7")
    head, _, rest = short.partition(before)
    number, found, tail = rest.partition(after)
    assert found
    return head, number, tail
