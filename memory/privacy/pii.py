"""Detectors of personal data: e-mail addresses, cards, IP addresses, phone numbers.

Each detector yields ordered, disjoint spans of a text in linear time: repetitions are possessive or
bounded, and no pattern scans a character again from another start.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
Detector: TypeAlias = Callable[[str], Iterator[Span]]

_DOMAIN = re.compile(
    r"@(?:[^\W_](?:[\w-]{0,62})\.){1,8}(?:xn--[\w-]{2,59}|[^\W\d_]{2,24})(?![\w-])"
)
_LOCAL_MARKS = frozenset("._%+-'&*/=?^`{|}~!#$")
_DIGITS = re.compile(r"(?<![\w.])[0-9](?:[ .\u00a0-]?[0-9])*+(?!\w)")
_DIGIT = re.compile(r"[0-9]")
_CARD = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2(?:2[2-9]|[3-6]\d|7[01])\d)\d{12,14}"
    r"|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}"
    r"|(?:6(?:011|4[4-9]\d|5\d\d|2\d\d)|35(?:2[89]|[3-8]\d))\d{12,15}|(?:5[06-8]|6\d)\d{11,17}"
)
_LEAST_CARD, _MOST_CARD = 13, 19
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?:\.\d{1,3}){0,3}+(?![\w:])")
_LEAST_COLONS = 2
_PHONE = re.compile(
    r"(?<![\w.,/-])(?:"
    r"(?:\+|00)[ (]{0,2}[1-9](?:[ ()./\u00a0-]{0,3}\d){6,14}+"
    r"|\(?[2-9]\d\d\)?[ .\u00a0-][2-9]\d\d[ .\u00a0-]\d{4}"
    r"|1[ .-]\(?[2-9]\d\d\)?[ .-][2-9]\d\d[ .-]\d{4}"
    r"|(?!\d\d[/ -]\d\d[/ -](?:19|20)\d\d(?!\d))"
    r"\(?0[1-9](?:\d{0,4}+\)?[ /\u00a0-]{1,3}+)(?:\d(?:[ /\u00a0-]?)){4,11}+(?<=\d)"
    r"|0[1-9]\d{8,9}"
    r")(?![\w]|[.,-]\d)"
)


def emails(text: str) -> Iterator[Span]:
    """E-mail addresses in any script."""
    end = 0
    for domain in _DOMAIN.finditer(text):
        start = domain.start()
        while start > end and (text[start - 1].isalnum() or text[start - 1] in _LOCAL_MARKS):
            start -= 1
        while start < domain.start() and not text[start].isalnum():
            start += 1
        if start < domain.start():
            end = domain.end()
            yield start, end


def cards(text: str) -> Iterator[Span]:
    """Payment card numbers: an issuer's format and a valid Luhn checksum."""
    for run in _DIGITS.finditer(text):
        digits = [one.start() for one in _DIGIT.finditer(text, run.start(), run.end())]
        number, first = "".join(text[place] for place in digits), 0
        while first + _LEAST_CARD <= len(digits):
            count = _card_at(number, digits, first)
            if count:
                yield digits[first], digits[first + count - 1] + 1
            first += count or 1


def _card_at(number: str, digits: list[int], first: int) -> int:
    """The length of the card number that starts at a digit group; 0 if none does."""
    if first and digits[first] == digits[first - 1] + 1:
        return 0
    for end in range(min(first + _MOST_CARD, len(digits)), first + _LEAST_CARD - 1, -1):
        if end < len(digits) and digits[end] == digits[end - 1] + 1:
            continue  # it would end inside a group
        if _CARD.fullmatch(number, first, end) and _has_luhn_checksum(number[first:end]):
            return end - first
    return 0


def _has_luhn_checksum(number: str) -> bool:
    doubled = [int(one) * (1 + place % 2) for place, one in enumerate(reversed(number))]
    return sum(one // 10 + one % 10 for one in doubled) % 10 == 0


def ip_addresses(text: str) -> Iterator[Span]:
    """IPv4 and IPv6 addresses."""
    found = [place for pattern in (_IPV4, _IPV6) for place in _addresses(pattern, text)]
    end = 0
    for place in sorted(found):
        if place[0] >= end:
            end = place[1]
            yield place


def _addresses(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    for match in pattern.finditer(text):
        written = match[0]
        if pattern is _IPV6 and (
            written.count(":") < _LEAST_COLONS or not any(map(str.isdigit, written))
        ):
            continue
        for one in (written, written.rstrip(":")):
            if _is_address(one):
                yield match.start(), match.start() + len(one)
                break


def _is_address(written: str) -> bool:
    try:
        ipaddress.ip_address(written)
    except ValueError:
        return False
    return True


def phones(text: str) -> Iterator[Span]:
    """Phone numbers: with a country code, in North American groups, or in groups after a 0."""
    for match in _PHONE.finditer(text):
        yield match.start(), match.start() + len(match[0].rstrip(" ./-\u00a0"))
