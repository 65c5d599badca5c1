"""Summarizing without a model: the lines that say most, in their order, within a budget."""

import math
import re
from collections import Counter
from collections.abc import Sequence

from memory.tokens import clip_tokens, count_tokens
from memory.types import Entry

_WORD = re.compile(r"\w+")
_FIRST_PERSON = frozenset({"i", "my", "me", "mine", "we", "our", "i'm"})
_LINE_TOKENS = 48


def extract(previous: str, entries: Sequence[Entry], *, budget_tokens: int) -> str:
    """The most telling lines of an earlier extract and of `entries`, oldest first.

    A line counts by the rarity of its words among the lines; lines in the first person count more,
    questions less.

    Args:
        previous: an earlier extract, a line each.
        entries: messages, oldest first.
        budget_tokens: the most tokens of the result.
    """
    lines = [line for line in previous.splitlines() if line.strip()]
    lines += [_line(entry) for entry in entries]
    return "\n".join(most_telling(lines, budget_tokens=budget_tokens))


def most_telling(lines: Sequence[str], *, budget_tokens: int) -> list[str]:
    """The lines that say most, in their order, within a budget."""
    words = [_WORD.findall(line.casefold()) for line in lines]
    frequency = Counter(word for found in words for word in set(found))

    def worth(place: int) -> float:
        found = set(words[place])
        rarity = sum(math.log(1 + len(lines) / frequency[word]) for word in found if len(word) > 2)  # noqa: PLR2004
        weight = 1.5 if found & _FIRST_PERSON else 1.0
        return rarity * (0.5 * weight if lines[place].rstrip().endswith("?") else weight)

    left, kept = budget_tokens, list[int]()
    for place in sorted(range(len(lines)), key=lambda place: (-worth(place), place)):
        tokens = count_tokens(lines[place]) + 1
        if tokens <= left:
            kept.append(place)
            left -= tokens
    return [lines[place] for place in sorted(kept)]


def _line(entry: Entry) -> str:
    message = entry.message
    return f"{message.author or message.role}: " + clip_tokens(
        " ".join(message.content.split()), _LINE_TOKENS
    )
