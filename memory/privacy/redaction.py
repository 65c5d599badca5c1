"""Redaction: personal data give way to marks such as `[email]`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from memory.privacy.detectors import Detector, Place, cards, emails, ip_addresses, phones
from memory.privacy.patterns import by_langchain, by_pattern

Kind: TypeAlias = Literal["email", "card", "ip", "mac", "phone"]
_DETECTORS: Mapping[Kind, Callable[[], Detector]] = {
    "email": lambda: emails,
    "card": lambda: cards,
    "ip": lambda: ip_addresses,
    "mac": lambda: by_langchain("detect_mac_address"),
    "phone": lambda: phones,
}
"""In the order in which they are asked: what one takes, no later one sees."""
_ROUNDS = 4


class Redactor:
    """Takes personal data out of texts. Marks are left alone: done twice, it changes no more.

    Args:
        kinds: what to look for.
        patterns: what else, each by what its mark is to say, as RE2 writes patterns.

    Raises:
        ConfigurationError: a pattern cannot be used.
    """

    def __init__(self, kinds: Sequence[Kind], patterns: Mapping[str, str]) -> None:
        self._detectors = {name: by_pattern(name, one) for name, one in patterns.items()}
        self._detectors |= {kind: make() for kind, make in _DETECTORS.items() if kind in kinds}
        names = "|".join(map(re.escape, ("private", *_DETECTORS, *patterns)))
        self._marks = re.compile(rf"(\[(?:{names})\])")

    def __call__(self, text: str) -> str:
        """The text, with marks in the places of personal data."""
        for _ in range(_ROUNDS):  # a mark may uncover what its neighbour hid
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


def _marked(text: str, places: Iterable[Place], mark: str) -> str:
    pieces: list[str] = []
    end = 0
    for start, until in places:
        pieces += (text[end:start], mark)
        end = until
    return "".join((*pieces, text[end:]))
