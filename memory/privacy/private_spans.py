"""Parses `<private>...</private>`: only the model sees the text between the tags.

Doubtful text is private. An unmatched opening tag extends to the end of the text, an unmatched
closing tag to its beginning. Tags match in any case, with spaces and invisible characters inside,
with attributes, and without their closing bracket. Patterns are possessive, so parsing takes linear
time.
"""

import re
from dataclasses import dataclass, field

MARK = "[private]"
"""Replaces a private span in stored text."""

_GAP = "[\\s\u00ad\u180e\u200b-\u200f\u2060-\u2064\ufeff]*+"
_NAME = _GAP.join("private")
_TAG = re.compile(
    f"[<\uff1c]{_GAP}(/?){_GAP}{_NAME}(?![\\w-])(?:[^<>\uff1c\uff1e]{{0,64}}+[>\uff1e])?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Split:
    """A parsed text.

    Attributes:
        for_model: The whole text without tags.
        for_storage: The text with `MARK` in place of private spans.
        private_texts: The private spans, stripped and without tags.
    """

    for_model: str = field(repr=False)
    for_storage: str
    private_texts: tuple[str, ...] = field(default=(), repr=False)


def split(text: str, *, lone: bool = True) -> Split:
    """Parse a text.

    Args:
        text: A user's or an assistant's text.
        lone: Whether a tag without its counterpart counts. It does not in an assistant's text: an
            answer that mentions a single tag is not truncated there.
    """
    tags = list(_TAG.finditer(text))
    if not tags:
        return Split(text, text)
    regions = _regions(text, tags, lone=lone)
    stored: list[str] = []
    private_texts: list[str] = []
    end = 0
    for start, until in regions:
        stored += (text[end:start], MARK)
        private_texts += filter(None, map(str.strip, _untagged(text[start:until])))
        end = until
    stored.append(text[end:])
    return Split("".join(_untagged(text)), "".join(stored), tuple(dict.fromkeys(private_texts)))


def _regions(text: str, tags: list[re.Match[str]], *, lone: bool) -> list[tuple[int, int]]:
    """The private regions of a text including tags, disjoint and in order."""
    regions: list[tuple[int, int]] = []
    opened: list[int] = []
    for tag in tags:
        if not tag[1]:
            opened.append(tag.start())
        elif opened:
            _add(regions, opened.pop(), tag.end())
        elif lone:
            _add(regions, 0, tag.end())
    if opened and lone:
        _add(regions, opened[0], len(text))
    return regions


def _add(regions: list[tuple[int, int]], start: int, end: int) -> None:
    while regions and regions[-1][0] >= start:
        regions.pop()
    regions.append((start, end))


def _untagged(text: str) -> list[str]:
    pieces: list[str] = []
    end = 0
    for tag in _TAG.finditer(text):
        pieces.append(text[end : tag.start()])
        end = tag.end()
    return [*pieces, text[end:]]
