"""Passages of long messages: each has words and a vector of its own in an index.

A message of some 350 tokens or more is split at ends of paragraphs, lines or sentences. Passages
overlap by a sentence or so, so that the end of one is found together with its context.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.excerpts import omitted_note
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.messages import Message

Span: TypeAlias = tuple[int, int]
"""Start and end of a passage, in characters of the message's text."""

LONG_TOKENS = 350
"""Messages of more tokens are split."""
WHOLE_TOKENS = 1000
"""Up to this size, a split message is also indexed as a whole: short messages next to it are found
by all that it says."""

_PASSAGE_TOKENS, _OVERLAP_TOKENS = 220, 40
_LEAST_SHARE = 0.5  # a passage ends in its second half
_LAST_SHARE = 0.35  # a shorter rest belongs to the passage before
_ENDS = (
    re.compile(r"\n[^\S\n]*\n\s*"),
    re.compile(r"\n\s*"),
    re.compile(r"[.!?\u2026][\"'\u201d\u2019)\]]*\s+|[\u3002\uff01\uff1f]+[\u300d\u300f\uff09]?"),
    re.compile(r"[;:,\u3001\uff0c\uff1b]\s*"),
    re.compile(r"\s+"),
)
"""Where a passage may end, the best first: paragraph, line, sentence, clause, word."""
_SENTENCE = 3  # how many of them an overlap may begin after


def split(text: str) -> tuple[Span, ...]:
    """The passages of a long text, in order; none for a text that is not long."""
    if len(text) <= LONG_TOKENS or (tokens := count_tokens(text)) <= LONG_TOKENS:
        return ()
    per_token = len(text) / tokens
    size, overlap = int(_PASSAGE_TOKENS * per_token), int(_OVERLAP_TOKENS * per_token)
    spans: list[Span] = []
    start = 0
    while len(text) - start > size * (1 + _LAST_SHARE):
        end = _end(text, start + int(size * _LEAST_SHARE), start + size)
        spans.append((start, end))
        start = _overlap_start(text, max(end - overlap, start + 1), end)
    spans.append((start, len(text)))
    return tuple(spans)


def has_own_row(text: str) -> bool:
    """Whether a long message also has a row as a whole, as the neighbour of others."""
    return count_tokens(text) <= WHOLE_TOKENS


def passage(message: Message, span: Span) -> Message:
    """The message with the text of one passage."""
    return replace(message, content=message.content[slice(*span)])


def passage_texts(message: Message) -> list[str]:
    """The text of each passage, as it is indexed and embedded; empty for a short message."""
    return [passage(message, span).spoken for span in split(message.content)]


def unit_mean(vectors: NDArray[np.float16]) -> NDArray[np.float16]:
    """The `(dim,)` unit vector in the middle of `(n, dim)` vectors."""
    if len(vectors) == 1:
        return vectors[0]
    mean = vectors.astype(np.float32).mean(axis=0)
    return (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float16)


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The spans in order; those that touch or overlap become one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


def excerpt(text: str, spans: Sequence[Span]) -> str:
    """The text of disjoint spans in order, with notes of what is left out around them."""
    parts, place = list[str](), 0
    for start, end in spans:
        if start > place:
            parts.append(omitted_note(start - place))
        parts.append(text[start:end].strip())
        place = end
    if place < len(text):
        parts.append(omitted_note(len(text) - place))
    return "\n".join(parts)


def _end(text: str, first: int, last: int) -> int:
    """The best end of a passage between two places."""
    for boundary in _ENDS:
        ends = [found.end() for found in boundary.finditer(text, first, last)]
        if ends:
            return ends[-1]
    return last


def _overlap_start(text: str, first: int, end: int) -> int:
    """Where the next passage begins: after a sentence or a word within the overlap."""
    for boundary in (*_ENDS[:_SENTENCE], _ENDS[-1]):
        for found in boundary.finditer(text, first, end):
            if found.end() < end:
                return found.end()
    return first
