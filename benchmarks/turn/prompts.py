"""Sizes of the turns' prompts, and the shares of them that a prompt cache can serve.

Messages of the load contain a mark, `#user-number#`. A prompt with a mark that is new belongs to a
turn; a prompt whose marks are all known belongs to a summary or an extraction.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from onionskin.memory.tokens import count_tokens

MARK = re.compile(r"#(\w+)-(\d+)#")
"""The mark of a message: its user and its number."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(slots=True)
class PromptSizes:
    """Sizes of the turns' prompts, in order.

    Attributes:
        tokens: Tokens of each prompt, by Onionskin's estimate.
        cacheable: Share of each prompt, in characters, that is a prefix of the previous prompt of
            its session; a provider's prompt cache can serve it.
    """

    tokens: list[int] = field(default_factory=list[int])
    cacheable: list[float] = field(default_factory=list[float])


def read_prompts(bodies: Iterable[bytes]) -> PromptSizes:
    """The sizes of the turns' prompts among the bodies of all calls."""
    sizes = PromptSizes()
    newest: dict[str, int] = {}
    previous: dict[str, str] = {}
    for body in bodies:
        messages = _decode(body)["messages"]
        texts = [f"{message['role']}\n{_text(message['content'])}" for message in messages]
        prompt = "\n\n".join(texts)
        marks = [(user, int(number)) for user, number in MARK.findall(prompt)]
        fresh = [mark for mark in marks if mark[1] > newest.get(mark[0], -1)]
        if not fresh:
            continue
        user, number = max(fresh, key=lambda mark: mark[1])
        newest[user] = number
        sizes.tokens.append(sum(map(count_tokens, texts)))
        if user in previous:
            sizes.cacheable.append(_common_prefix(previous[user], prompt) / len(prompt))
        previous[user] = prompt
    return sizes


def _common_prefix(a: str, b: str) -> int:
    """The length of the common prefix."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle - 1)
    return low


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)
