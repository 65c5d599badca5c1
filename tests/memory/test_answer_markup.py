"""What models write around an answer is removed, whole or in pieces; the same marks inside stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionskin.memory.answer_markup import AnswerFilter, visible_answer

_HARMONY = (
    "<|channel|>analysis<|message|>The user greets. <|end|><|start|>assistant"
    "<|channel|>final<|message|>Hello.<|return|>"
)
_REMOVED = {
    "<think>\nHm. Rex?\n</think>\n\nHello.": "Hello.",
    "  <think>Hm.</think>Hello.": "Hello.",
    "<THINK>Hm.</THINK>\nHello.": "Hello.",
    "<think>\n\n</think>\n\nHello.": "Hello.",
    "<think/>Hello.": "Hello.",
    '<think duration="3">Hm.</think>Hello.': "Hello.",
    "<thinking>Hm.</thinking>\n\nHello.": "Hello.",
    "<reasoning>Hm.</reasoning> Hello.": "Hello.",
    "<thought>\nHm.</thought>Hello.": "Hello.",
    "<seed:think>Hm.</seed:think>Hello.": "Hello.",
    "<thinking>Hm.</thinking><reflection>Yes.</reflection><output>Hello.</output>": "Hello.",
    "<think>Hm.</think>\n<answer>\nHello.\n</answer>": "Hello.",
    "<think>One <think>two</think> three</think>Hello.": "Hello.",
    "<think>\n<think>\nHm.\n</think>\nHello.": "Hello.",
    "<think>Hm.</think>\n<think>Yes.</think>\nHello.": "Hello.",
    "<think>They ask what `</think>` means.</think>It ends the reasoning.": (
        "It ends the reasoning."
    ),
    'They wrote "<think>".</think>Hello.': "Hello.",
    "[THINK]Hm.[/THINK]Hello.": "Hello.",
    "◁think▷Hm.◁/think▷Hello.": "Hello.",
    "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Hello.<|END_RESPONSE|>": "Hello.",
    "<|channel>thought\nHm.\n<channel|>Hello.<turn|>": "Hello.",
    '<details type="reasoning" done="true" duration="3">\n<summary>Thought</summary>\n> Hm.\n'
    "</details>\nHello.": "Hello.",
    "<think>Never closed, and Rex": "",
    "<thinking>": "",
    "Hm. They greet.\n</think>\n\nHello.": "Hello.",
    "Hm.</think>Hello.": "Hello.",
    _HARMONY: "Hello.",
    "<|start|>assistant" + _HARMONY: "Hello.",
    "<|channel|>final<|message|>Hello.": "Hello.",
    "<|channel|>analysis<|message|>Hm.<|end|>": "",
    "<|channel|>analysis<|message|>Look.<|end|><|start|>assistant<|channel|>commentary "
    'to=functions.look <|constrain|>json<|message|>{"a": 1}<|call|>': "",
    "analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello.": "Hello.",
    "They greet.<|end|><|start|>assistant<|channel|>final<|message|>Hello.": "Hello.",
    "analysisWe need to greet. Simple.assistantfinalHello.": "Hello.",
    "Hello.<|im_end|>": "Hello.",
    "Hello.<|eot_id|>\n": "Hello.",
    "Hello.<|im_end|><|endoftext|>": "Hello.",
}
_KEPT = (
    "Hello.",
    "  Hello.\n",
    "",
    "The tag `<think>` opens it and `</think>` closes it.",
    "Use it so:\n```html\n<think>\nHm.\n</think>\n```\nand then?",
    "```xml\n<think>Hm.</think>\n```",
    "`<think>` is a tag.",
    "A block:\n<think>\nHm.\n</think>\nDone.",
    "It closes with </think> and goes on.",
    "```\nHm.\n</think>\n\nHello.\n```\nThat is the format.",
    "<b>Hello</b> <thinker>",
    "<think",
    "<details><summary>More</summary>Hello.</details>",
    "analysis of the results",
    "analysisWe never got further",
    "[THINKING] Hello.",
    "<b>Hello.</b>",
    "ChatML ends a message with <|im_end|>",
    "ChatML ends with `<|im_end|>` and goes on.",
    "a < b and <|im_end|> b < c",
    "1 <",
)


@pytest.mark.parametrize(("text", "visible"), _REMOVED.items())
def test_what_a_model_writes_around_its_answer_is_removed(text: str, visible: str) -> None:
    assert visible_answer(text) == visible


@pytest.mark.parametrize("text", _KEPT)
def test_the_same_marks_in_an_answer_are_kept(text: str) -> None:
    assert visible_answer(text) == text
    assert visible_answer(f"<think>Hm.</think>\n{text}") == text.strip()


def test_a_wrapper_without_reasoning_is_text() -> None:
    assert visible_answer("<answer>Hello.</answer>") == "<answer>Hello.</answer>"


def _in_pieces(text: str, sizes: list[int]) -> list[str]:
    answer, pieces = AnswerFilter(), list[str]()
    for size in sizes:
        pieces.append(answer.feed(text[:size]))
        text = text[size:]
    return [*pieces, answer.feed(text), answer.finish()]


@given(
    text=st.sampled_from([*_REMOVED, *_KEPT, *(f"<think>Hm.</think>\n{each}" for each in _KEPT)]),
    sizes=st.lists(st.integers(0, 9), max_size=40),
)
def test_pieces_add_up_to_the_same_answer(text: str, sizes: list[int]) -> None:
    whole = AnswerFilter()
    assert "".join(_in_pieces(text, sizes)) == whole.feed(text) + whole.finish()


@given(
    st.lists(
        st.sampled_from(
            [
                *("<think>", "</think>", "<answer>", "</answer>", "`", '"', "\n", " ", "Hm.", "<"),
                *("<|channel|>", "final", "analysis", "<|message|>", "<|end|>", "[THINK]", "A"),
            ]
        ),
        max_size=12,
    ),
    st.lists(st.integers(0, 5), max_size=60),
)
def test_any_mixture_of_marks_is_read_the_same_however_it_is_split(
    parts: list[str], sizes: list[int]
) -> None:
    text, whole = "".join(parts), AnswerFilter()
    assert "".join(_in_pieces(text, sizes)) == whole.feed(text) + whole.finish()


def test_an_ordinary_answer_is_passed_on_at_once() -> None:
    pieces = ["Hel", "lo, ", "1 < 2", " and ", "<b>", " so on"]
    answer = AnswerFilter()
    assert [answer.feed(piece) for piece in pieces] == pieces


def test_long_reasoning_takes_time_in_proportion_to_its_length() -> None:
    answer = AnswerFilter()
    answer.feed("<think>")
    for _ in range(50_000):
        assert answer.feed("Hm. ") == ""
        assert len(answer._buffer) < 500  # pyright: ignore[reportPrivateUsage]
    assert answer.feed("</think>Hello.") + answer.finish() == "Hello."
