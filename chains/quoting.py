"""Remembered text as data: quoted line by line, so that a stored order stays a quotation.

A line is `- [2023-05-07 13:56] Caroline: "..."`, its text a JSON string without angle brackets: no
stored text can end its line, its quotation, or the fence around it. Nor can it hide: what is not
seen, such as control characters, changes of direction and tags, is spelled out or left out.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from onionskin.memory.types.messages import Entry
from onionskin.memory.types.records import Record

_NOT_IN_NAMES = str.maketrans({'"': "'", ":": " ", "[": "(", "]": ")"})
_UNSEEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_MOMENT = len("2023-05-07 13:56")
_as_json = json.JSONEncoder(ensure_ascii=False).encode
_LINE = re.compile(r'^- \[([^\]]*)\] (.*?): (".*")$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class QuotedLine:
    """A line that was read back: when, who, what."""

    when: str
    who: str
    text: str


def fenced(tag: str, lines: Iterable[str]) -> str:
    """Lines between `<tag>` and `</tag>`."""
    return "\n".join((f"<{tag}>", *lines, f"</{tag}>"))


def quoted_line(entry: Entry) -> str:
    """A message as one line of data."""
    message = entry.message
    who = _name(message.author or message.role)
    return f"- [{moment(message.at)}] {who}: {_quoted(message.content)}"


def quoted_record(record: Record) -> str:
    """A record as one line of data, by its kind."""
    return f"- [{moment(record.updated)}] {record.kind}: {_quoted(record.content)}"


def escaped(text: str) -> str:
    """Prose of several lines that cannot end its fence, without what is not seen."""
    plain = _UNSEEN.sub(" ", text)
    return plain.replace("<", "\u2039").replace(">", "\u203a")  # angle quotation marks


def moment(at: float) -> str:
    """A time as a person would note it, in UTC: `2023-05-07 13:56`."""
    return _minute(int(at // 60))


@lru_cache(4096)  # what is shown again and again
def _minute(number: int) -> str:
    return datetime.fromtimestamp(number * 60, UTC).isoformat(" ", "minutes")[:_MOMENT]


def inside(tag: str, text: str) -> str:
    """What stands in the last fence `tag` of `text`; empty where there is none."""
    _, opened, rest = text.rpartition(f"<{tag}>\n")
    return rest.partition(f"</{tag}>")[0] if opened else ""


def quoted_lines(text: str) -> list[QuotedLine]:
    """The lines that `quoted_line` made, read back."""
    return [QuotedLine(when, who, json.loads(what)) for when, who, what in _LINE.findall(text)]


@lru_cache
def _name(author: str) -> str:
    """A name that cannot pass for the end of itself."""
    return " ".join(escaped(author).translate(_NOT_IN_NAMES).split()) or "unnamed"


def _quoted(text: str) -> str:
    plain = _as_json(text)
    plain = plain.replace("<", "\\u003c").replace(">", "\\u003e")
    return _UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], plain)
