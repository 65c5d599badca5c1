"""Dates in texts: those that a query names, and those of the events that a message mentions.

A day is the number of days since 0001-01-01 (`datetime.date.toordinal`).
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from onionskin.memory.retrieval.language.analyzer import Language

_YEAR = r"(?:19|20)\d\d"
_ISO = re.compile(rf"\b({_YEAR})[-/.](\d\d?)[-/.](\d\d?)\b|({_YEAR})年(\d\d?)月(\d\d?)日")
_DAY_NUMBER = r"(\d\d?)(?:st|nd|rd|th|\.|日)?"
_BARE_YEAR = re.compile(rf"(?<!\d)({_YEAR})(?!\d)")
_MONTH_DAYS = 30
_MONTH, _WEEK = 28, 7


@dataclass(frozen=True, slots=True)
class Span:
    """The days from `first` to `last`, both included.

    `any_year`: the month of any year; the span is then the latest such month before `now`.
    """

    first: int
    last: int
    grain: Literal["day", "month", "year"]
    month: int = 0
    any_year: bool = False


@dataclass(frozen=True, slots=True)
class Offset:
    """Days between an event and the message that mentions it, give or take `slack` days."""

    days: int
    slack: int


@dataclass(frozen=True, slots=True)
class Today:
    """The day of the person who asks.

    Attributes:
        day: The day by their clock.
        utc_offset: The offset of their clock from UTC, in seconds; None if unknown.
    """

    day: date
    utc_offset: int | None = None


def spans(text: str, now: date, language: Language, today: date | None = None) -> list[Span]:
    """The days, months and years that a query names.

    Args:
        text: The query.
        now: A month or day without a year is the latest one before this day.
        language: The word lists of the query's language.
        today: The day that `yesterday` and `on Monday` start from; None for `now`.
    """
    today = today or now
    folded = text.casefold()
    named: list[Span] = []
    for match in _ISO.finditer(folded):
        year, month, day = (int(group) for group in match.groups() if group)
        named += _day(year, month, day)
    rest = _ISO.sub(" ", folded)
    with_month: list[tuple[int, int]] = []
    for match in language.month.finditer(rest):
        month = language.months[match[0]]
        before = re.search(rf"(?<!\d){_DAY_NUMBER}(?: of| de)?\s*$", rest[: match.start()])
        after = re.match(rf"\s*{_DAY_NUMBER}(?!\d)", rest[match.end() :])
        year = re.match(
            rf"(?:\s*{_DAY_NUMBER}(?!\d))?,?\s*(?:of |de )?({_YEAR})", rest[match.end() :]
        )
        numbers = before or after
        if not numbers and not year and _is_a_word(match, text, folded):
            continue
        if year:
            with_month.append((match.start(), match.end() + year.end()))
        years = [int(year[2])] if year else _likely_years(month, now)
        if numbers:
            named += [span for year in years for span in _day(year, month, int(numbers[1]))]
        else:
            named.append(_month(years[0], month, any_year=year is None))
    for match in _BARE_YEAR.finditer(rest):
        if not any(start <= match.start() < end for start, end in with_month):
            year = int(match[1])
            first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
            named.append(Span(first, last, "year"))
    for offset in offsets(folded, today, language):
        day = today.toordinal() - offset.days
        grain = "day" if offset.slack < _WEEK else "month" if offset.slack < _MONTH else "year"
        named.append(Span(day - offset.slack, day + offset.slack, grain))
    return named


def offsets(folded: str, written: date, language: Language) -> list[Offset]:
    """When an event happened, from expressions such as `yesterday` and `two weeks ago`.

    Args:
        folded: The case-folded message.
        written: The day of the message.
        language: Its word lists.
    """
    events: list[Offset] = []
    for match in language.relative.finditer(folded):
        words = match[0]
        if words in language.weekdays:
            events.append(Offset((written.weekday() - language.weekdays[words] - 1) % 7 + 1, 0))
        else:
            days = language.days_ago[words]
            events.append(Offset(days, days // 2 if days > 1 else 0))
    for match in language.ago.finditer(folded) if language.ago else ():
        number = language.numbers.get(match[1]) or (int(match[1]) if match[1].isdecimal() else 0)
        if number and number < _MONTH_DAYS * 100:
            unit = language.units[match[2]]
            events.append(Offset(number * unit, unit // 2))
    return events


def _is_a_word(match: re.Match[str], text: str, folded: str) -> bool:
    """Whether `may` is the verb: as a month it is written `May`."""
    same = len(text) == len(folded)
    return match[0] == "may" and same and text[match.start() : match.end()].islower()


def _likely_years(month: int, now: date) -> list[int]:
    return [now.year, now.year - 1] if month <= now.month else [now.year - 1, now.year]


def _day(year: int, month: int, day: int) -> list[Span]:
    try:
        number = date(year, month, day).toordinal()
    except ValueError:
        return []
    return [Span(number, number, "day", month)]


def _month(year: int, month: int, *, any_year: bool) -> Span:
    first = date(year, month, 1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return Span(first.toordinal(), last.toordinal(), "month", month, any_year)
