"""Detectors from elsewhere: patterns of one's own, and LangChain's; imported where wanted."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from memory.errors import ConfigurationError
from memory.privacy.detectors import Detector, Place

_LONGEST = 1000


def by_pattern(name: str, pattern: str) -> Detector:
    """A detector of what a pattern finds, by RE2: in linear time, whatever pattern and text are.

    Raises:
        ConfigurationError: RE2 cannot read the pattern, or it finds an empty text.
    """
    re2: Any = import_module("re2")
    options = re2.Options()
    options.log_errors = False  # it would print the pattern
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        raise ConfigurationError(
            f"[redaction.patterns] {name!r} is no pattern of RE2, which knows neither "
            f"backreferences nor lookaround: {error}."
        ) from error
    if compiled.search("") or len(pattern) > _LONGEST:
        raise ConfigurationError(
            f"[redaction.patterns] {name!r} finds an empty text, or has more than {_LONGEST} "
            "characters."
        )

    def detect(text: str) -> Iterator[Place]:
        for match in compiled.finditer(text):
            start, end = match.span()
            if end > start:
                yield start, end

    return detect


def by_langchain(name: str) -> Detector:
    """A detector of `langchain.agents.middleware`'s, such as `detect_mac_address`."""
    find = getattr(import_module("langchain.agents.middleware.pii"), name)

    def detect(text: str) -> Iterator[Place]:
        for match in find(text):
            yield match["start"], match["end"]

    return detect
