"""Removes from an answer what a model writes around it: reasoning, channel markers, end tokens.

Model servers usually separate these parts; a server without the parser of its model returns them
as text. Marks are recognized where models write them: reasoning at the start of an answer, end
tokens at its end. The same marks in the middle of an answer, as in code, are text.

| models | reasoning |
|---|---|
| DeepSeek, Qwen, GLM, MiniMax, Nemotron, Hunyuan, Seed | `<think>`, also with a prefix |
| Gemini, EXAONE, prompts for Claude | `<thought>`, `<thinking>`, `<reflection>` |
| Magistral | `[THINK]` |
| Kimi | `◁think▷` |
| Command A | `<|START_THINKING|>` |
| Gemma 4 | `<|channel>thought` |
| gpt-oss (harmony) | `<|channel|>analysis<|message|>`, or `analysis...assistantfinal` |
| Open WebUI, in histories | `<details type="reasoning">` |
"""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

_NAMES = (
    *("think", "thinking", "thought", "thoughts", "reason", "reasoning", "reflection"),
    *("scratchpad", "antthinking", "inner_monologue", "seed:think", "mm:think"),
)
_NAME = "|".join(_NAMES)
_ATTRIBUTES = r"\s[^<>]{0,150}"
_LONGEST_MARK = 200
_LONGEST_BARE_REASONING = 1 << 16


@dataclass(frozen=True, slots=True)
class _Block:
    """How reasoning, or the wrapper of an answer, begins and ends.

    Attributes:
        opening, closing: Patterns of the marks.
        literals: Openings as texts in lower case; a beginning of one may become a mark.
        unfinished: Pattern of an opening whose attributes are not complete.
    """

    opening: re.Pattern[str]
    closing: re.Pattern[str]
    literals: tuple[str, ...]
    unfinished: re.Pattern[str] | None = None

    def may_open(self, text: str) -> bool:
        """Whether more text may complete an opening."""
        lower = text.lower()
        is_beginning = any(literal.startswith(lower) for literal in self.literals)
        return is_beginning or bool(self.unfinished and self.unfinished.match(text))


def _block(opening: str, closing: str) -> _Block:
    return _Block(
        re.compile(re.escape(opening), re.IGNORECASE),
        re.compile(re.escape(closing), re.IGNORECASE),
        (opening.lower(),),
    )


_BLOCKS = (
    _Block(
        re.compile(rf"<(?:{_NAME})(?:{_ATTRIBUTES})?/?>", re.IGNORECASE),
        re.compile(rf"</(?:{_NAME})\s?>", re.IGNORECASE),
        tuple(f"<{name}>" for name in _NAMES),
        re.compile(rf"<(?:{_NAME})(?:{_ATTRIBUTES}|/)\Z", re.IGNORECASE),
    ),
    _block("[THINK]", "[/THINK]"),
    _block("◁think▷", "◁/think▷"),
    _block("<|START_THINKING|>", "<|END_THINKING|>"),
    _block("<|begin_of_thought|>", "<|end_of_thought|>"),
    _block("<|inner_prefix|>", "<|inner_suffix|>"),
    _block("<|channel>", "<channel|>"),
    _Block(
        re.compile(r"<details\s[^<>]{0,100}?type=.?reasoning\b[^<>]{0,100}>", re.IGNORECASE),
        re.compile(r"</details>", re.IGNORECASE),
        ("<details ",),
        re.compile(rf"<details{_ATTRIBUTES}\Z", re.IGNORECASE),
    ),
)
_WRAPPERS = {
    "<answer>": "</answer>",
    "<response>": "</response>",
    "<output>": "</output>",
    "<final_answer>": "</final_answer>",
    "<|start_response|>": "<|END_RESPONSE|>",
    "<|begin_of_solution|>": "<|end_of_solution|>",
}
"""Wrappers of the answer after its reasoning: the opening in lower case, and the closing."""
_END_TOKENS = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|return|>", "<|endoftext|>"),
    *("<|end_of_text|>", "<end_of_turn>", "<turn|>", "<｜end▁of▁sentence｜>"),  # noqa: RUF001 - other scripts
    *("<|END_RESPONSE|>", "<|END_OF_TURN_TOKEN|>"),
)
_HARMONY_START = re.compile(
    r"(?:<\|start\|>assistant)?(?:<\|channel\|>|(?:analysis|commentary|final)?<\|message\|>)"
)
_HARMONY_STARTS = (
    *("<|start|>assistant<|channel|>", "<|start|>assistant<|message|>", "<|channel|>"),
    *("<|message|>", "analysis<|message|>", "commentary<|message|>", "final<|message|>"),
)
_HARMONY_MARKS = tuple(
    f"<|{name}|>" for name in ("start", "end", "message", "channel", "return", "call")
)
_HARMONY_MARK = re.compile("|".join(map(re.escape, _HARMONY_MARKS)))
_HARMONY_FINAL = re.compile(r"<\|channel\|>final[^<]*<\|message\|>")
_BARE_START, _BARE_END = re.compile(r"analysis(?=[A-Z0-9\"'“])"), "assistantfinal"
"""Harmony without its special tokens: `analysisWe need to greet.assistantfinalHello.`"""
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_OPENING_QUOTES, _CLOSING_QUOTES = frozenset("`\"'“‘«„"), frozenset("`\"'”’»“")  # noqa: RUF001 - other scripts
_MAYBE_MARKUP = re.compile(r"[<\[◁]|\A\s*analysis")

_State: TypeAlias = Literal["start", "reasoning", "harmony", "bare", "answer"]


def visible_answer(text: str) -> str:
    """A complete answer without markup; '' if there is nothing else.

    Reasoning without an opening mark, which the chat template wrote, is removed too. `AnswerFilter`
    cannot do that: it learns of it after the reasoning.
    """
    if not _MAYBE_MARKUP.search(text):
        return text
    rest = _after_lone_closing(text)
    answer = AnswerFilter()
    return answer.feed(text if rest is None else rest) + answer.finish()


def _after_lone_closing(text: str) -> str | None:
    """The text after reasoning that has no opening mark; None if it has one, or is none."""
    start = text.lstrip()
    if _HARMONY_START.match(start) or any(block.opening.match(start) for block in _BLOCKS):
        return None
    for block in _BLOCKS:
        for mark in block.closing.finditer(text):
            if _is_quoted(text, mark) or _is_in_code(text[: mark.start()]):
                continue
            rest = text[mark.end() :]
            openings = block.opening.finditer(text, 0, mark.start())
            is_open = any(not _is_quoted(text, opening) for opening in openings)
            if not is_open and rest.strip() and _is_apart(text, mark):
                return rest.lstrip()
            break
    final = _HARMONY_FINAL.search(text)
    return text[final.start() :] if final and not _is_in_code(text[: final.start()]) else None


def _is_apart(text: str, mark: re.Match[str]) -> bool:
    """Whether a mark is on a line of its own, precedes a paragraph, or has no space around it."""
    before, after = text[: mark.start()], text[mark.end() :]
    is_own_line = before.rstrip(" \t")[-1:] in {"", "\n"} and after.startswith("\n")
    is_glued = bool(before and after) and not (before[-1].isspace() or after[0].isspace())
    return is_own_line or after.startswith("\n\n") or is_glued


def _is_quoted(text: str, mark: re.Match[str]) -> bool:
    before, after = text[: mark.start()][-1:], text[mark.end() : mark.end() + 1]
    return before in _OPENING_QUOTES and after in _CLOSING_QUOTES


def _is_in_code(before: str) -> bool:
    """Whether the text that follows `before` is in a code block or in inline code."""
    line = before.rpartition("\n")[2]
    return len(_FENCE.findall(before)) % 2 == 1 or line.count("`") % 2 == 1


class AnswerFilter:
    """Removes markup from an answer that comes in pieces, wherever it is split.

    Text is withheld while it may belong to a mark.
    """

    def __init__(self) -> None:
        self._buffer: str = ""
        self._state: _State = "start"
        self._block, self._depth = _BLOCKS[0], 0
        self._after_closing: list[str] | None = None
        self._closing_tokens = _END_TOKENS
        self._removed = self._is_body = self._has_begun = False
        self._last: str = ""

    def feed(self, piece: str) -> str:
        """The text that belongs to the answer for certain, after this piece."""
        is_plain = self._state == "answer" and not (self._buffer or self._removed)
        if is_plain and "<" not in piece:
            self._last = piece[-1:] or self._last
            return piece
        self._buffer += piece
        return self._read(is_end=False)

    def finish(self) -> str:
        """The rest of the answer."""
        visible = self._read(is_end=True)
        if self._after_closing is None:
            return visible
        # More marks open than close: the first closing one ended the reasoning.
        self._buffer, self._after_closing = "".join(self._after_closing), None
        self._state = "start"
        return visible + self._read(is_end=True)

    def _read(self, *, is_end: bool) -> str:
        pieces: list[str] = []
        while True:
            before = (self._state, len(self._buffer), self._is_body)
            match self._state:
                case "start":
                    self._read_start(is_end=is_end)
                case "reasoning":
                    self._read_reasoning(is_end=is_end)
                case "harmony":
                    pieces.append(self._read_harmony(is_end=is_end))
                case "bare":
                    self._read_bare(is_end=is_end)
                case "answer":
                    pieces.append(self._read_answer(is_end=is_end))
            if before == (self._state, len(self._buffer), self._is_body):
                return "".join(pieces)

    def _read_start(self, *, is_end: bool) -> None:
        text = self._buffer.lstrip()
        if not is_end and (not text or _may_open(text, removed=self._removed)):
            return
        for block in _BLOCKS:
            if opening := block.opening.match(text):
                self._buffer, self._removed = text[opening.end() :], True
                if not opening[0].endswith("/>"):
                    self._state, self._block, self._depth = "reasoning", block, 1
                return
        if _HARMONY_START.match(text):
            self._state, self._buffer, self._removed = "harmony", text, True
            return
        if _BARE_START.match(text):
            self._state = "bare"
            self._buffer = text if self._removed else self._buffer
            return
        self._state = "answer"
        if self._removed:
            self._buffer = self._without_wrapper(text)

    def _without_wrapper(self, text: str) -> str:
        for opening, closing in _WRAPPERS.items():
            if text.lower().startswith(opening):
                self._closing_tokens = (*_END_TOKENS, closing)
                return text[len(opening) :].lstrip()
        return text

    def _read_reasoning(self, *, is_end: bool) -> None:
        """Skip to the mark that closes the outermost block."""
        block, text, end = self._block, self._buffer, 0
        marks = [*block.opening.finditer(text), *block.closing.finditer(text)]
        for mark in sorted(marks, key=lambda mark: mark.start()):
            is_last = mark.end() == len(text) and not is_end
            if is_last and text[: mark.start()][-1:] in _OPENING_QUOTES:
                break  # the next character decides whether the mark is quoted
            closes = mark.re is block.closing
            if not _is_quoted(text, mark):
                self._depth += -1 if closes else 1
            if self._depth == 0:
                self._buffer = text[mark.end() :]
                self._state, self._after_closing = "start", None
                return
            if self._after_closing is not None:
                self._after_closing.append(text[end : mark.end()])
            elif closes and not _is_quoted(text, mark):
                self._after_closing = []
            end = mark.end()
        keep = len(text) if is_end else max(end, len(text) - _LONGEST_MARK)
        if self._after_closing is not None:
            self._after_closing.append(text[end:keep])
        self._buffer = text[keep:]

    def _read_harmony(self, *, is_end: bool) -> str:
        """A part of the next message that the user may see."""
        text = self._buffer
        if self._is_body:
            mark = _HARMONY_MARK.search(text)
            end = mark.start() if mark else len(text) if is_end else _tail(text, _HARMONY_MARKS)
            self._buffer, self._is_body = text[end:], mark is None
            self._last = text[:end][-1:] or self._last
            return text[:end]
        header, mark, body = text.partition("<|message|>")
        if not mark:
            self._buffer = "" if is_end else text[-2 * _LONGEST_MARK :]
            return ""
        self._buffer, self._is_body = body, _is_for_user(header)
        return "\n\n" if self._is_body and self._last else ""

    def _read_bare(self, *, is_end: bool) -> None:
        _, found, rest = self._buffer.partition(_BARE_END)
        if found:
            self._buffer, self._removed = rest.lstrip(), True
        if found or is_end or len(self._buffer) > _LONGEST_BARE_REASONING:
            self._state = "answer"

    def _read_answer(self, *, is_end: bool) -> str:
        """The buffer without a tail that consists of end tokens, or the beginning of one."""
        text = self._buffer
        if self._removed and not self._has_begun:  # the space after a wrapper may come late
            text = self._buffer = text.lstrip()
            self._has_begun = bool(text)
        end = _tail(text, self._closing_tokens)
        if text[:end][-1:] in (" ", *_OPENING_QUOTES) or (not end and self._last == " "):
            end = len(text)  # the answer mentions the token
        if self._removed:
            end = len(text[:end].rstrip())
        self._buffer = "" if is_end else text[end:]
        self._last = text[:end][-1:] or self._last
        return text[:end]


def _may_open(text: str, *, removed: bool) -> bool:
    """Whether more text may turn the start of an answer into a mark."""
    lower = text.lower()
    literals = (*_HARMONY_STARTS, "analysis", *(_WRAPPERS if removed else ()))
    is_beginning = any(literal.startswith(lower) and literal != lower for literal in literals)
    return (
        is_beginning or text == "analysis" or any(block.may_open(text) for block in _BLOCKS)
    ) and not any(block.opening.match(text) for block in _BLOCKS)


def _tail(text: str, tokens: tuple[str, ...]) -> int:
    """Where a tail of tokens begins, the last one perhaps incomplete; else the length."""
    end = len(text)
    start = text.rfind("<", max(0, end - _LONGEST_MARK))
    if start >= 0 and any(token.startswith(text[start:]) for token in tokens):
        end = start
    while True:
        before = text[:end].rstrip()
        token = next((each for each in tokens if before.endswith(each)), None)
        if token is None:
            return end
        end = len(before) - len(token)


def _is_for_user(header: str) -> bool:
    """Whether a message of the harmony format is for the user: final, or a preamble of calls."""
    _, found, channel = header.rpartition("<|channel|>")
    if not found and "<|start|>" in header:
        return True
    name = channel.strip()
    return name.startswith("final") or (name.startswith("commentary") and " to=" not in header)
