"""What is said in the benchmark: sentences of English words without a sense, and histories."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from onionskin.memory.retrieval.language.word_vectors import word_vectors

_SHORTEST_WORD, _WORDS = 3, 12
REPLY_SENTENCES = 4
"""In an answer; a message has one."""

_SESSION_TURNS, _PAUSE_SECONDS = 20, 2.0


@dataclass(frozen=True, slots=True)
class Said:
    """A turn of a history."""

    session: int
    message: str
    reply: str


def sentences(count: int, *, seed: int) -> list[str]:
    """Sentences of a dozen words, common ones more often, as in speech (Zipf)."""
    draw = random.Random(seed)
    return [_sentence(draw) for _ in range(count)]


def replies(count: int, *, seed: int) -> list[str]:
    """Answers of a few sentences."""
    said = sentences(count * REPLY_SENTENCES, seed=seed)
    places = range(0, len(said), REPLY_SENTENCES)
    return [" ".join(said[place : place + REPLY_SENTENCES]) for place in places]


def sentence(seed: int) -> str:
    """One of them."""
    return _sentence(random.Random(seed))


def history(turns: int, *, seed: int) -> Iterator[Said]:
    """So many turns, in sessions of twenty."""
    draw = random.Random(seed)
    for number in range(turns):
        reply = " ".join(_sentence(draw) for _ in range(REPLY_SENTENCES))
        yield Said(number // _SESSION_TURNS, _sentence(draw), reply)


def json_lines(turns: int, *, seed: int, until: float) -> bytes:
    """A history as `/v1/users/{user}/import` takes it, its last turn at the time `until`."""
    lines: list[str] = []
    for number, said in enumerate(history(turns, seed=seed)):
        at = until - (turns - number) * _PAUSE_SECONDS
        label = f"chat {said.session}"
        asked = {"role": "user", "content": said.message, "time": at, "session": label}
        lines += [json.dumps(asked)]
        lines += [json.dumps(asked | {"role": "assistant", "content": said.reply})]
    return "\n".join(lines).encode()


def _sentence(draw: random.Random) -> str:
    words, weights = _vocabulary()
    return f"{' '.join(draw.choices(words, cum_weights=weights, k=_WORDS)).capitalize()}."


@cache
def _vocabulary() -> tuple[list[str], list[float]]:
    """Words, the most frequent first, and how often they or one before them are said."""
    known = word_vectors().vocabulary
    words = [word for word in known if word.isalpha() and len(word) >= _SHORTEST_WORD]
    return words, list(accumulate(1 / (rank + 5) for rank in range(len(words))))
