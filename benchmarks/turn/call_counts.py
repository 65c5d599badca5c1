"""Figures of single turns: calls of the model, a slow model, the first token."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack

from onionskin.benchmarks.turn.client import Client
from onionskin.benchmarks.turn.figures import Calls
from onionskin.benchmarks.turn.histories import sentences
from onionskin.benchmarks.turn.model_server import ModelBehaviour
from onionskin.benchmarks.turn.sides import BARE, LAYERED, Side

SLOW = ModelBehaviour(chat_ms=300.0, embed_ms=50.0)
_IMMEDIATE = ModelBehaviour()
_SETTLED_SECONDS, _PATIENCE_SECONDS, _WARM_UP = 0.5, 30.0, 3
OnProgress = Callable[[str], None]


def count_calls(side: Side, turns: int) -> Calls:
    """The model calls of a new user's session, including background calls after its turns."""
    side.set_model(ModelBehaviour(keep=True))
    user = "counted"
    with Client(side.server.url, side.rest) as client:
        for number, text in enumerate(sentences(turns, seed=6)):
            client.turn(user, f"{text} #{user}-{number}#")
    _settle(side)
    counts = side.read_counts()
    side.set_model(_IMMEDIATE)
    return Calls(
        side=side.name,
        turns=turns,
        model_calls=counts.chats / turns,
        embedding_calls=counts.embeddings / turns,
        awaited_embedding_calls=counts.awaited_embeddings / turns,
        prompt_tokens=statistics.fmean(counts.tokens),
        most_prompt_tokens=max(counts.tokens),
        cacheable=statistics.fmean(counts.cacheable or [0.0]),
    )


def longest_prompt(side: Side, user: str, turns: int) -> int:
    """Tokens of the longest prompt in further turns of a user."""
    side.set_model(ModelBehaviour(keep=True))
    with Client(side.server.url, side.rest) as client:
        for number, text in enumerate(sentences(turns, seed=7)):
            client.turn(user, f"{text} #again{user}-{number}#")
    tokens = side.read_counts().tokens
    side.set_model(_IMMEDIATE)
    return max(tokens)


def slow_model(sides: Mapping[str, Side], turns: int, on_progress: OnProgress) -> dict[str, float]:
    """The p50, in milliseconds, of one client's turns with a slow model, by side."""
    for side in sides.values():
        side.set_model(SLOW)
    seconds = _interleave(
        sides, turns, Client.turn, lambda text: on_progress(f"slow model: {text}")
    )
    for side in sides.values():
        side.set_model(_IMMEDIATE)
    return {name: statistics.median(times) * 1e3 for name, times in seconds.items()}


def first_tokens(
    sides: Mapping[str, Side], turns: int, on_progress: OnProgress
) -> tuple[dict[str, float], float]:
    """The p50, in milliseconds, to the first token of streamed turns.

    Returns:
        The p50 by side, and the median difference between layered memory and bare per turn.
    """
    seconds = _interleave(
        sides, turns, Client.first_token, lambda text: on_progress(f"first token: {text}")
    )
    pairs = zip(seconds[LAYERED], seconds[BARE], strict=True)
    overhead = statistics.median(layered - bare for layered, bare in pairs)
    medians = {name: statistics.median(times) * 1e3 for name, times in seconds.items()}
    return medians, overhead * 1e3


def _interleave(
    sides: Mapping[str, Side],
    turns: int,
    measure: Callable[[Client, str, str], float],
    on_progress: OnProgress,
) -> dict[str, list[float]]:
    durations: dict[str, list[float]] = {name: [] for name in sides}
    texts = sentences(turns + _WARM_UP, seed=8)
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(Client(side.server.url, side.rest))
            for name, side in sides.items()
        }
        for number, text in enumerate(texts):
            on_progress(f"turn {number + 1} of {len(texts)}")
            for name in _rotated(list(sides), number):
                seconds = measure(clients[name], "turns", text)
                if number >= _WARM_UP:
                    durations[name].append(seconds)
    return durations


def _rotated(names: Sequence[str], by: int) -> Iterator[str]:
    start = by % len(names)
    yield from (*names[start:], *names[:start])


def _settle(side: Side) -> None:
    """Wait until the side makes no more model calls."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    before = None
    while time.monotonic() < deadline:
        now = side.read_counts()
        if before == (now.chats, now.embeddings):
            return
        before = now.chats, now.embeddings
        time.sleep(_SETTLED_SECONDS)
