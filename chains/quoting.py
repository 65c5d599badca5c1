"""Quotes remembered text in prompts as data, so that stored instructions stay quotations.

A line is `- [Sunday 2023-05-07 13:56 +02:00] Caroline: "..."`: the local time of the speaker,
or the time in UTC, without an offset, where their clock is unknown. Its text is a JSON string
without angle brackets,
so it cannot end its line, its quotation, or the fence around it. Invisible characters (control
characters, direction marks, tags) are escaped or replaced by spaces, so they cannot hide text.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from onionskin.memory.time_zones import (
    UNKNOWN_ZONE,
    TimeZone,
    local_time,
    offset_text,
    weekday_of,
)
from onionskin.memory.types.messages import Entry
from onionskin.memory.types.records import Record

_NOT_IN_NAMES = str.maketrans({'"': "'", ":": " ", "[": "(", "]": ")"})
_INVISIBLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_as_json = json.JSONEncoder(ensure_ascii=False).encode
_LINE = re.compile(r'^- \[([^\]]*)\] (.*?): (".*")$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class QuotedLine:
    """A parsed line of `quoted_line`."""

    when: str
    who: str
    text: str


def fenced(tag: str, lines: Iterable[str]) -> str:
    """The lines between `<tag>` and `</tag>`."""
    return "\n".join((f"<{tag}>", *lines, f"</{tag}>"))


def quoted_line(entry: Entry, zone: TimeZone = UNKNOWN_ZONE) -> str:
    """A message as one line of data; `zone` is the user's, for a message without an offset."""
    message, offset = entry.message, entry.message.utc_offset
    when = moment(message.at, zone.offset_at(message.at) if offset is None else offset)
    who = _name(message.author or message.role)
    return f"- [{when}] {who}: {_quoted(message.readable)}"


def quoted_record(record: Record, zone: TimeZone = UNKNOWN_ZONE) -> str:
    """A record as one line of data, labelled with its kind, by the user's clock."""
    when = moment(record.updated, zone.offset_at(record.updated))
    return f"- [{when}] {record.kind}: {_quoted(record.content)}"


def escaped(text: str) -> str:
    """Text of several lines that cannot end its fence, without invisible characters."""
    visible = _INVISIBLE.sub(" ", text)
    return visible.replace("<", "\u2039").replace(">", "\u203a")  # angle quotation marks


def moment(at: float, offset: int | None = None) -> str:
    """A local time to the minute: `Sunday 2023-05-07 13:56 +02:00`.

    Args:
        at: Unix seconds.
        offset: Seconds from UTC; None for UTC, which is shown without an offset.
    """
    return _minute(int(at // 60), offset)


@lru_cache(4096)  # prompts of a session repeat their lines
def _minute(number: int, offset: int | None) -> str:
    local = local_time(number * 60, offset)
    shown = f"{weekday_of(local)} {local.isoformat(' ', 'minutes')}"
    return shown if offset is None else f"{shown} {offset_text(offset)}"


def inside(tag: str, text: str) -> str:
    """The content of the last fence `tag` in `text`; empty if there is none."""
    _, opening, rest = text.rpartition(f"<{tag}>\n")
    return rest.partition(f"</{tag}>")[0] if opening else ""


def quoted_lines(text: str) -> list[QuotedLine]:
    """Parses the lines of `quoted_line` in `text`."""
    return [QuotedLine(when, who, json.loads(quote)) for when, who, quote in _LINE.findall(text)]


@lru_cache
def _name(author: str) -> str:
    """A name without the characters that end it in a line."""
    return " ".join(escaped(author).translate(_NOT_IN_NAMES).split()) or "unnamed"


def _quoted(text: str) -> str:
    quote = _as_json(text).replace("<", "\\u003c").replace(">", "\\u003e")
    return _INVISIBLE.sub(lambda match: json.dumps(match[0])[1:-1], quote)
