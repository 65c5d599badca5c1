"""The model's context window: default budgets that follow it, and prompts that fit it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from onionskin.memory.excerpts import shorten
from onionskin.memory.layers.summary import digest_tokens
from onionskin.memory.layers.vector import hit_tokens
from onionskin.memory.layers.window import window_section
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.snapshot import Section

DEFAULT_CONTEXT = 32_768
"""The context window, in tokens, that the default budgets are made for."""

_LARGEST_FACTOR = 4
_RESERVED_SHARE, _MOST_RESERVED = 4, 4096
_MOST_OF_BATCH = 12_000
_OVERHEAD_TOKENS = 350  # the instructions, fences and the time
_LEAST_SHARE = 4  # a long message leaves this part of the prompt to memory
_BUDGETS: Mapping[str, Mapping[str, int]] = {
    "window": {"budget_tokens": 3000, "exchange_tokens": 12_000},
    "summary": {"budget_tokens": 800, "carry_tokens": 1000, "fold_tokens": 2000},
    "vector": {"budget_tokens": 1200},
    "facts": {"pinned_tokens": 600, "budget_tokens": 600},
}


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """The context window of the chat model.

    Attributes:
        tokens: Its size.
    """

    tokens: int = DEFAULT_CONTEXT

    @property
    def prompt_tokens(self) -> int:
        """Most tokens of a prompt: the rest, a quarter up to 4,096 tokens, is for the answer."""
        return self.tokens - min(self.tokens // _RESERVED_SHARE, _MOST_RESERVED)

    @property
    def batch_tokens(self) -> int:
        """Most tokens of the messages in a prompt that summarizes them or extracts from them."""
        return min(self.prompt_tokens // 2, _MOST_OF_BATCH)

    def complete(self, tables: dict[str, Any]) -> dict[str, Any]:
        """The tables of a profiles file, with budgets that fit the window where it sets none."""
        factor = min(self.tokens / DEFAULT_CONTEXT, _LARGEST_FACTOR)
        scaled = {
            layer: {name: max(int(tokens * factor), 1) for name, tokens in budgets.items()}
            for layer, budgets in _BUDGETS.items()
        }
        for profile in _tables(tables.get("profiles")).values():
            options = _tables(profile)
            for layer, budgets in scaled.items() if options else ():
                own = options.setdefault(layer, {})
                options[layer] = (
                    budgets | _tables(own) if own in ({}, None) or _tables(own) else own
                )
        return tables

    def fit(self, sections: Sequence[Section], text: str) -> tuple[Section, ...]:
        """The sections, reduced to what fits beside the user's message.

        Recalled messages go first, then facts, digests of earlier sessions, the oldest messages of
        the window, and the summary. The newest exchange is shortened last.
        """
        available = self.prompt_tokens - _OVERHEAD_TOKENS
        left = max(available - count_tokens(text), available // _LEAST_SHARE)
        fitted, excess = list(sections), sum(section.tokens for section in sections) - left
        if excess <= 0:
            return tuple(fitted)
        for reduce in (_without_hits, _without_records, _without_digests, _with_less_window):
            for place in range(len(fitted) - 1, -1, -1):
                if excess > 0:
                    before = fitted[place]
                    fitted[place] = reduce(before, excess)
                    excess -= before.tokens - fitted[place].tokens
        return tuple(fitted)

    def fitted(self, sections: Sequence[Section], text: str) -> "FittedSections":
        """The sections of a turn as they fit beside the user's message, and its limit."""
        shown = self.fit(sections, text)
        used = sum(section.tokens for section in shown)
        longest = max(self.prompt_tokens - _OVERHEAD_TOKENS - used, 1)
        is_shortened = (
            shown != tuple(sections)
            or any(section.shortened for section in shown)
            or count_tokens(text) > longest
        )
        return FittedSections(shown, longest, is_shortened)


@dataclass(frozen=True, slots=True)
class FittedSections:
    """The sections of a turn as its prompt has them.

    Attributes:
        sections: The sections.
        longest_message: Most tokens of the user's message.
        is_shortened: Whether a message or a section is not shown in full.
    """

    sections: tuple[Section, ...]
    longest_message: int
    is_shortened: bool


UNLIMITED = ContextWindow(1 << 40)
"""A context window of any size."""


def _tables(value: object) -> dict[str, Any]:
    """A table of a TOML file; empty for any other value, which is reported elsewhere."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _without_hits(section: Section, excess: int) -> Section:
    hits, removed = list(section.hits), 0
    while hits and removed < excess:
        removed += hit_tokens(hits.pop())
    return replace(section, hits=tuple(hits), tokens=max(section.tokens - removed, 0))


def _without_records(section: Section, excess: int) -> Section:
    records, removed = list(section.records), 0
    while records and removed < excess:
        removed += count_tokens(records.pop().content)
    return replace(section, records=tuple(records), tokens=max(section.tokens - removed, 0))


def _without_digests(section: Section, excess: int) -> Section:
    digests, removed = list(section.digests), 0
    while digests and removed < excess:
        removed += digest_tokens(digests.pop())
    return replace(section, digests=tuple(digests), tokens=max(section.tokens - removed, 0))


def _with_less_window(section: Section, excess: int) -> Section:
    """The section with fewer messages of the session, and the rest of its text shortened."""
    text_tokens = count_tokens(section.text)
    most = max(section.tokens - text_tokens - excess, 0)
    whole = window_section("", section.messages, budget_tokens=0, exchange_tokens=1 << 30)
    earlier = max(most - whole.tokens, 0)
    shown = window_section(
        "", section.messages, budget_tokens=earlier, exchange_tokens=most - earlier
    )
    text = shorten(section.text, max(section.tokens - excess - shown.tokens, 0))
    return replace(
        section,
        messages=shown.messages,
        text=text,
        tokens=shown.tokens + count_tokens(text),
        shortened=tuple(dict.fromkeys((*section.shortened, *shown.shortened))),
    )
