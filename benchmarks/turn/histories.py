"""Texts of the benchmark: random sentences of English words, and histories of turns."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from onionskin.memory.retrieval.language.word_vectors import word_vectors

_SHORTEST_WORD, _WORDS = 3, 12
REPLY_SENTENCES = 4
"""Sentences of an answer; a message has one."""

_SESSION_TURNS, _PAUSE_SECONDS = 20, 2.0


@dataclass(frozen=True, slots=True)
class HistoryTurn:
    """A turn of a history."""

    session: int
    message: str
    reply: str


def sentences(count: int, *, seed: int) -> list[str]:
    """Random sentences of twelve words, with word frequencies as in speech (Zipf)."""
    draw = random.Random(seed)
    return [_sentence(draw) for _ in range(count)]


def replies(count: int, *, seed: int) -> list[str]:
    """Random answers of a few sentences."""
    texts = sentences(count * REPLY_SENTENCES, seed=seed)
    places = range(0, len(texts), REPLY_SENTENCES)
    return [" ".join(texts[place : place + REPLY_SENTENCES]) for place in places]


def sentence(seed: int) -> str:
    """A random sentence."""
    return _sentence(random.Random(seed))


def history(turns: int, *, seed: int) -> Iterator[HistoryTurn]:
    """Random turns, in sessions of twenty."""
    draw = random.Random(seed)
    for number in range(turns):
        reply = " ".join(_sentence(draw) for _ in range(REPLY_SENTENCES))
        yield HistoryTurn(number // _SESSION_TURNS, _sentence(draw), reply)


def json_lines(turns: int, *, seed: int, until: float) -> bytes:
    """A history in the format of `/v1/users/{user}/import`; its last turn is before `until`."""
    lines: list[str] = []
    for number, turn in enumerate(history(turns, seed=seed)):
        at = until - (turns - number) * _PAUSE_SECONDS
        label = f"chat {turn.session}"
        message = {"role": "user", "content": turn.message, "time": at, "session": label}
        lines += [json.dumps(message)]
        lines += [json.dumps(message | {"role": "assistant", "content": turn.reply})]
    return "\n".join(lines).encode()


def _sentence(draw: random.Random) -> str:
    words, weights = _vocabulary()
    return f"{' '.join(draw.choices(words, cum_weights=weights, k=_WORDS)).capitalize()}."


@cache
def _vocabulary() -> tuple[list[str], list[float]]:
    """Words, the most frequent first, with their cumulative weights."""
    known = word_vectors().vocabulary
    words = [word for word in known if word.isalpha() and len(word) >= _SHORTEST_WORD]
    return words, list(accumulate(1 / (rank + 5) for rank in range(len(words))))
