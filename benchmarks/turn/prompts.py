"""What the model was asked for turns: prompt tokens, and how much of a prompt was there before.

Messages of the load carry a mark, `#who-number#`. A prompt whose newest mark is new is a turn's;
one whose marks were all seen before is a fold's, a summary's or an extraction's.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from onionskin.memory.tokens import count_tokens

MARK = re.compile(r"#(\w+)-(\d+)#")
"""Of a message: its user and its number."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(slots=True)
class Asked:
    """The prompts of turns, in order.

    Attributes:
        tokens: of each turn's prompt, by the estimate that Onionskin's budgets are kept by.
        cacheable: the share of each prompt, in characters, that is the beginning of the one before
            it in its session: what a provider's prompt cache can serve.
    """

    tokens: list[int] = field(default_factory=list[int])
    cacheable: list[float] = field(default_factory=list[float])


def read_prompts(bodies: Iterable[bytes]) -> Asked:
    """Tell turns from other calls, and measure their prompts."""
    asked = Asked()
    newest: dict[str, int] = {}
    before: dict[str, str] = {}
    for body in bodies:
        messages = _decode(body)["messages"]
        texts = [f"{one['role']}\n{_text(one['content'])}" for one in messages]
        prompt = "\n\n".join(texts)
        marks = [(who, int(number)) for who, number in MARK.findall(prompt)]
        fresh = [mark for mark in marks if mark[1] > newest.get(mark[0], -1)]
        if not fresh:
            continue
        who, number = max(fresh, key=lambda mark: mark[1])
        newest[who] = number
        asked.tokens.append(sum(map(count_tokens, texts)))
        if who in before:
            asked.cacheable.append(_shared(before[who], prompt) / len(prompt))
        before[who] = prompt
    return asked


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)
