"""`<private>...</private>` in a text: what stands between the tags is for the model alone.

Whatever is in doubt is private. A tag without its counterpart reaches to the end of the text that
it faces; tags count in any case, with blanks and invisible characters anywhere inside them, with
attributes, and without their closing bracket. Every pattern is possessive: a text is read in a time
that grows with its length and no faster.
"""

import re
from dataclasses import dataclass, field

MARK = "[private]"
"""What stands for a span in all that is stored."""

_GAP = "[\\s\u00ad\u180e\u200b-\u200f\u2060-\u2064\ufeff]*+"
_NAME = _GAP.join("private")
_TAG = re.compile(
    f"[<\uff1c]{_GAP}(/?){_GAP}{_NAME}(?![\\w-])(?:[^<>\uff1c\uff1e]{{0,64}}+[>\uff1e])?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Split:
    """A text taken apart.

    Attributes:
        seen: all of it, without tags.
        kept: without what is private, `MARK` in its places.
        secrets: what was private, tags aside, without blanks at its ends.
    """

    for_model: str = field(repr=False)
    for_storage: str
    private_texts: tuple[str, ...] = field(default=(), repr=False)


def split(text: str) -> Split:
    """What of a user's words is for the model alone."""
    return _split(text, lone=True)


def without_pairs(text: str) -> str:
    """A text of somebody else's: only what stands between two tags is private.

    An answer that explains a tag by naming it is not cut off there.
    """
    return _split(text, lone=False).for_storage


def _split(text: str, *, lone: bool) -> Split:
    tags = list(_TAG.finditer(text))
    if not tags:
        return Split(text, text)
    regions = _regions(text, tags, lone=lone)
    kept: list[str] = []
    secrets: list[str] = []
    end = 0
    for start, until in regions:
        kept += (text[end:start], MARK)
        secrets += filter(None, map(str.strip, _untagged(text[start:until])))
        end = until
    kept.append(text[end:])
    return Split("".join(_untagged(text)), "".join(kept), tuple(dict.fromkeys(secrets)))


def _regions(text: str, tags: list[re.Match[str]], *, lone: bool) -> list[tuple[int, int]]:
    """The private parts of a text, tags included: apart from each other, in order."""
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
