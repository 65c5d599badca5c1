"""The summary in a model's answer: without what surrounds it, and None where there is no summary.

Models put a summary between our own tags, in a Markdown fence, or after an introduction. Some
refuse, or return the prompt. `refusals.toml` describes refusals and introductions by language.
"""

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from onionskin.memory.answer_markup import visible_answer

_TAG_NAMES = (
    r"(?:(?:new|updated|running|conversation|final|old|previous)[_ ])?summary|new_lines|lines|"
    r"known_memories|lines_before"
)
_TAG = re.compile(rf"[<‹\[]\s*(/?)\s*({_TAG_NAMES})\b[^<>‹›\[\]\n]{{0,80}}[>›\]]", re.IGNORECASE)  # noqa: RUF001 - other scripts
_SUMMARY = "summary"
_FENCED = re.compile(r"\A(```+|~~~+)[\w+-]*[ \t]*\n(.*?)\n?[ \t]*\1\s*\Z", re.DOTALL)
_UNCLOSED_FENCE = re.compile(r"\A(?:```+|~~~+)[\w+-]*[ \t]*\n|\n[ \t]*(?:```+|~~~+)\s*\Z")
_DECORATION = "*_#>`\"'“”„«»- \t"
_LONGEST_INTRODUCTION, _LONGEST_HEADING, _MOST_LABEL_WORDS = 240, 48, 4
_HEADING = re.compile(r"\s*(?:#|\*\*[^*]*\*\*:?\s*\Z)")
_MOST_LAYERS = 8
_CHATTER = re.compile(
    r"\n\s*\n\s*(?:let me know|please let me|feel free|i hope|is there anything|would you like|"
    r"do you want me|if you (?:need|have|want|would))[^\n]{0,200}\Z",
    re.IGNORECASE,
)


def summary_of(answer: str) -> str | None:
    """The summary that a model wrote; None if the answer contains none.

    Args:
        answer: The model's answer to the prompt for a summary.
    """
    text = visible_answer(answer).strip()
    for _ in range(_MOST_LAYERS):
        before = text
        text = _without_chatter(_without_introduction(_without_fence(_without_tags(text))))
        if text == before:
            break
    is_text = any(map(str.isalnum, text))
    return text if is_text and not is_refusal(text) else None


def is_refusal(text: str) -> bool:
    """Whether a text begins like a refusal, or like a request for the lines to summarize."""
    start = text.lstrip(_DECORATION + "\n").casefold().replace("\u2019", "'")[:300]
    return bool(_refusals().match(start))


def _without_tags(text: str) -> str:
    """The last summary between tags, or the text without its tags; lines of the prompt go too."""
    tags = list(_TAG.finditer(text))
    if not tags or text[: tags[0].start()].count("```") % 2:
        return text
    summaries, kept = list[str](), list[str]()
    place, inside = 0, ""
    for tag in (*tags, None):
        piece = text[place : tag.start() if tag else len(text)].strip()
        if inside.endswith(_SUMMARY):
            summaries.append(piece)
        elif not inside and piece:
            kept.append(piece)
        if tag:
            inside = "" if tag[1] else tag[2].lower()
            place = tag.end()
    echoes_lines = any("lines" in tag[2].lower() for tag in tags)
    if echoes_lines and tags[0][2].lower() == _SUMMARY and len(summaries) == 1 and not kept:
        return ""  # the prompt itself
    return "\n\n".join([*_introduced(kept), *summaries[-1:]]) if summaries else "\n".join(kept)


def _introduced(outside: Sequence[str]) -> list[str]:
    """The long texts beside a tagged summary; short ones only introduce it."""
    return [
        piece for piece in outside if len(piece) > _LONGEST_INTRODUCTION and not is_refusal(piece)
    ]


def _without_fence(text: str) -> str:
    fenced = _FENCED.match(text)
    if fenced and fenced[1] not in fenced[2]:
        return fenced[2].strip()
    return _UNCLOSED_FENCE.sub("", text).strip() if len(re.findall(r"```", text)) == 1 else text


def _without_introduction(text: str) -> str:
    """The text without a first line such as `Here is the updated summary:`, or a heading."""
    first, _, rest = text.partition("\n")
    bare = first.strip(_DECORATION)
    has_label = bool(_labels().search(bare.casefold()))
    if rest.strip() and has_label and len(bare) <= _LONGEST_INTRODUCTION:
        is_heading = len(bare) <= _LONGEST_HEADING and bool(_HEADING.match(first))
        if is_heading or bare.endswith((":", "：", ":**")):  # noqa: RUF001 - other scripts
            return rest.strip()
    label, colon, content = first.replace("：", ":").partition(":")  # noqa: RUF001 - other scripts
    is_label = len(label.split()) <= _MOST_LABEL_WORDS and _labels().search(label.casefold())
    if colon and content.strip(_DECORATION) and is_label:
        return text[len(label) + 1 :].lstrip("*_ ").strip()
    return text


def _without_chatter(text: str) -> str:
    return _CHATTER.sub("", text).strip()


@cache
def _phrases() -> dict[str, Any]:
    text = resources.files("onionskin.chains").joinpath("refusals.toml").read_text("utf-8")
    return tomllib.loads(text)


@cache
def _refusals() -> re.Pattern[str]:
    phrases = [phrase for language in _phrases().values() for phrase in language["refusal"]]
    return re.compile("|".join(f"(?:{phrase})" for phrase in phrases))


@cache
def _labels() -> re.Pattern[str]:
    words = [word for language in _phrases().values() for word in language["summary"]]
    return re.compile("|".join(map(re.escape, words)))
