"""Turns one by one: the model's calls, the slow model, the first token."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack

from onionskin.benchmarks.turn.client import Client
from onionskin.benchmarks.turn.figures import Calls
from onionskin.benchmarks.turn.histories import sentences
from onionskin.benchmarks.turn.model_server import Ways
from onionskin.benchmarks.turn.sides import BARE, LAYERED, Side

SLOW = Ways(chat_ms=300.0, embed_ms=50.0)
_AT_ONCE = Ways()
_SETTLED_SECONDS, _PATIENCE_SECONDS, _WARM_UP = 0.5, 30.0, 3
Tell = Callable[[str], None]


def count_calls(side: Side, turns: int) -> Calls:
    """What a new user's only session asks of the model, turn by turn, and afterwards."""
    side.answered(Ways(keep=True))
    user = "counted"
    with Client(side.server.url, side.rest) as client:
        for number, text in enumerate(sentences(turns, seed=6)):
            client.turn(user, f"{text} #{user}-{number}#")
    _settle(side)
    counted = side.counted()
    side.answered(_AT_ONCE)
    return Calls(
        side=side.name,
        turns=turns,
        model_calls=counted.chats / turns,
        embedding_calls=counted.embeddings / turns,
        awaited_embedding_calls=counted.awaited_embeddings / turns,
        prompt_tokens=statistics.fmean(counted.tokens),
        most_prompt_tokens=max(counted.tokens),
        cacheable=statistics.fmean(counted.cacheable or [0.0]),
    )


def longest_prompt(side: Side, user: str, turns: int) -> int:
    """The tokens of the longest prompt of further turns of a user."""
    side.answered(Ways(keep=True))
    with Client(side.server.url, side.rest) as client:
        for number, text in enumerate(sentences(turns, seed=7)):
            client.turn(user, f"{text} #again{user}-{number}#")
    tokens = side.counted().tokens
    side.answered(_AT_ONCE)
    return max(tokens)


def slow_model(sides: Mapping[str, Side], turns: int, tell: Tell) -> dict[str, float]:
    """The p50 in milliseconds of one client's turns with a slow model, the sides by turns."""
    for side in sides.values():
        side.answered(SLOW)
    took = _by_turns(sides, turns, Client.turn, lambda what: tell(f"slow model: {what}"))
    for side in sides.values():
        side.answered(_AT_ONCE)
    return {name: statistics.median(times) * 1e3 for name, times in took.items()}


def first_tokens(
    sides: Mapping[str, Side], turns: int, tell: Tell
) -> tuple[dict[str, float], float]:
    """The p50 in milliseconds to the first token of streamed turns, the sides by turns.

    Returns:
        By side; and the median of what layered memory took longer than bare in the same turn.
    """
    took = _by_turns(sides, turns, Client.first_token, lambda what: tell(f"first token: {what}"))
    pairs = zip(took[LAYERED], took[BARE], strict=True)
    overhead = statistics.median(mine - its for mine, its in pairs)
    medians = {name: statistics.median(times) * 1e3 for name, times in took.items()}
    return medians, overhead * 1e3


def _by_turns(
    sides: Mapping[str, Side],
    turns: int,
    measure: Callable[[Client, str, str], float],
    tell: Tell,
) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {name: [] for name in sides}
    texts = sentences(turns + _WARM_UP, seed=8)
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(Client(side.server.url, side.rest))
            for name, side in sides.items()
        }
        for number, text in enumerate(texts):
            tell(f"turn {number + 1} of {len(texts)}")
            for name in _rotated(list(sides), number):
                seconds = measure(clients[name], "turns", text)
                if number >= _WARM_UP:
                    took[name].append(seconds)
    return took


def _rotated(names: Sequence[str], by: int) -> Iterator[str]:
    where = by % len(names)
    yield from (*names[where:], *names[:where])


def _settle(side: Side) -> None:
    """Wait until nothing more is asked of the model."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    before = None
    while time.monotonic() < deadline:
        now = side.counted()
        if before == (now.chats, now.embeddings):
            return
        before = now.chats, now.embeddings
        time.sleep(_SETTLED_SECONDS)
