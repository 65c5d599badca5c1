"""Replaces personal data by marks such as `[email]`.

Besides the built-in detectors it uses custom RE2 patterns and LangChain's detectors, imported only
when configured.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Literal, TypeAlias

from onionskin.memory.errors import ConfigurationError
from onionskin.memory.privacy.pii import Detector, Span, cards, emails, ip_addresses, phones

_LONGEST = 1000


def pattern_detector(name: str, pattern: str) -> Detector:
    """A detector for a custom RE2 pattern, which matches in linear time.

    Raises:
        ConfigurationError: RE2 rejects the pattern, it is too long, or it matches an empty text.
    """
    re2: Any = import_module("re2")
    options = re2.Options()
    options.log_errors = False  # it would print the pattern
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        raise ConfigurationError(
            f"[redaction.patterns] {name!r} is no RE2 pattern (RE2 has no "
            f"backreferences and no lookaround): {error}."
        ) from error
    if compiled.search("") or len(pattern) > _LONGEST:
        raise ConfigurationError(
            f"[redaction.patterns] {name!r} matches an empty text, or has more than {_LONGEST} "
            "characters."
        )

    def detect(text: str) -> Iterator[Span]:
        for match in compiled.finditer(text):
            start, end = match.span()
            if end > start:
                yield start, end

    return detect


def langchain_detector(name: str) -> Detector:
    """A detector of `langchain.agents.middleware`, such as `detect_mac_address`."""
    find = getattr(import_module("langchain.agents.middleware.pii"), name)

    def detect(text: str) -> Iterator[Span]:
        for match in find(text):
            yield match["start"], match["end"]

    return detect


Kind: TypeAlias = Literal["email", "card", "ip", "mac", "phone"]
_DETECTORS: Mapping[Kind, Callable[[], Detector]] = {
    "email": lambda: emails,
    "card": lambda: cards,
    "ip": lambda: ip_addresses,
    "mac": lambda: langchain_detector("detect_mac_address"),
    "phone": lambda: phones,
}
"""In order of precedence: text that one detector replaces is not passed to later ones."""
_ROUNDS = 4


class Redactor:
    """Replaces personal data in texts by marks. It is idempotent: marks are never redacted.

    Args:
        kinds: Kinds of personal data to detect.
        patterns: Further RE2 patterns, by the name in their mark.

    Raises:
        ConfigurationError: A pattern is invalid.
    """

    def __init__(self, kinds: Sequence[Kind], patterns: Mapping[str, str]) -> None:
        self._detectors = {name: pattern_detector(name, one) for name, one in patterns.items()}
        self._detectors |= {kind: make() for kind, make in _DETECTORS.items() if kind in kinds}
        names = "|".join(map(re.escape, ("private", *_DETECTORS, *patterns)))
        self._marks = re.compile(rf"(\[(?:{names})\])")

    def __call__(self, text: str) -> str:
        """The text with marks in place of personal data."""
        for _ in range(_ROUNDS):  # a mark may expose a neighbouring match
            redacted = self._once(text)
            if redacted == text:
                break
            text = redacted
        return text

    def _once(self, text: str) -> str:
        for name, detect in self._detectors.items():
            pieces = self._marks.split(text)
            pieces[::2] = [_marked(one, detect(one), f"[{name}]") for one in pieces[::2]]
            text = "".join(pieces)
        return text


def _marked(text: str, places: Iterable[Span], mark: str) -> str:
    pieces: list[str] = []
    end = 0
    for start, until in places:
        pieces += (text[end:start], mark)
        end = until
    return "".join((*pieces, text[end:]))
