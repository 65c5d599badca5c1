"""A thousand answers lost on their way, and OpenAI's SDK asking again: each turn is stored once.

    .venv/bin/python -m tests.retry_campaign [--rounds 1000] [--lanes 4] [--seed 1]

Conversations go through a relay to two workers on one Redis, whole and streamed. The relay loses
the answer to the first try of each turn, and now and then to the second. Ends with 1 if a turn is
missing, stored twice, or stored with another answer than the client was given.
"""

import argparse
import itertools
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from openai.types.chat import ChatCompletionMessageParam as Param
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.service.conftest import Backend, running_backend, serving_model
from tests.service.openai.lossy_proxy import Loss, losing_relay
from tests.service.openai.sdk_calls import (
    EagerOpenAI,
    answers_asked,
    ask,
    from_assistant,
    from_user,
    transcripts,
)

KINDS: tuple[str, ...] = get_args(get_args(Loss)[0])
_CONVERSATION = 10
"""Turns of one conversation; the whole of it is sent with each."""
_PATIENCE_SECONDS = 0.5
_AGAIN = 0.2
"""How often the answer to the second try is lost as well."""
_TRIES = 9


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one turn.

    Attributes:
        loss: how its first answer was lost.
        streamed: how it was asked for.
        stored: How often it is stored in Redis.
        is_told: the answer that is stored is the one that the client was given.
    """

    loss: str
    streamed: bool
    stored: int
    is_told: bool

    @property
    def is_fine(self) -> bool:
        return self.stored == 1 and self.is_told


def campaign(
    workers: Sequence[Backend],
    *,
    rounds: int,
    lanes: int = 4,
    seed: int = 1,
    after_each: Callable[[], object] = lambda: None,
) -> list[Outcome]:
    """Play so many turns, in conversations of ten, and look at what is stored of each."""
    numbers = itertools.count()
    workers[0].model.reply = lambda _: f"Answer {next(numbers)}."
    sizes = [min(_CONVERSATION, rounds - begun) for begun in range(0, rounds, _CONVERSATION)]

    def play(number: int) -> list[Outcome]:
        draw = random.Random(f"{seed} {number}")
        user, streamed = f"retrying-{seed}-{number}", number % 2 == 1
        return list(_conversation(workers, user, draw, sizes[number], streamed, after_each))

    with ThreadPoolExecutor(lanes) as pool:
        return [one for found in pool.map(play, range(len(sizes))) for one in found]


def _conversation(
    workers: Sequence[Backend],
    user: str,
    draw: random.Random,
    turns: int,
    streamed: bool,
    after_each: Callable[[], object],
) -> Iterator[Outcome]:
    losses, history = list[Loss](), list[Param]()
    first: list[str] = []
    urls = [one.service.url for one in workers]
    with (
        losing_relay(*urls, loses=lambda n: losses[n] if n < len(losses) else None) as relay,
        EagerOpenAI(
            base_url=f"{relay.url}/v1", api_key="any", max_retries=_TRIES, timeout=_PATIENCE_SECONDS
        ) as client,
    ):
        for number in range(turns):
            kinds: Any = draw.choices(KINDS, k=2)
            losses[:] = kinds if draw.random() < _AGAIN else kinds[:1]
            first.append(kinds[0])
            said = from_user(f"Turn {number}.")
            answer = ask(client, user, *history, said, stream=streamed)
            text = _streamed(answer) if streamed else answer.choices[0].message.content
            history += [said, from_assistant(text)]
            after_each()
    stored = transcripts(workers[0], user)
    for number, loss in enumerate(first):
        asked, answered = (str(one.get("content")) for one in history[2 * number :][:2])
        answers = [one[one.index(asked) + 1] for one in stored if asked in one]
        count = sum(one.count(asked) for one in stored)
        yield Outcome(loss, streamed, count, answers == [answered])


def _streamed(chunks: Any) -> str:
    return "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)


def table(outcomes: Sequence[Outcome]) -> Table:
    """A line for each way of losing an answer."""
    shown = Table("answer was", "asked", "turns", "once", "missing", "more", "other answer")
    for loss, streamed in itertools.product(KINDS, (False, True)):
        these = [one for one in outcomes if (one.loss, one.streamed) == (loss, streamed)]
        figures = (
            len(these),
            sum(one.stored == 1 for one in these),
            sum(one.stored == 0 for one in these),
            sum(one.stored > 1 for one in these),
            sum(not one.is_told for one in these),
        )
        shown.add_row(loss, "streamed" if streamed else "whole", *map(str, figures))
    return shown


def main(rounds: int, lanes: int, seed: int) -> int:
    """Run it on two workers of its own, and show what came of it; the exit code."""
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with tempfile.TemporaryDirectory() as folder, serving_model() as model:
        shared = {"ONIONSKIN_REDIS_URL": EmbeddedRedis(Path(folder)).url}
        with (
            running_backend(model, Path(folder)) as one,
            running_backend(model, Path(folder), **shared) as other,
            Progress(*columns, TimeElapsedColumn(), console=console) as progress,
        ):
            bar = progress.add_task("turns with lost answers", total=rounds)
            outcomes = campaign(
                (one, other),
                rounds=rounds,
                lanes=lanes,
                seed=seed,
                after_each=lambda: progress.advance(bar),
            )
        calls = answers_asked(one)
    console.print(table(outcomes))
    fine = sum(one.is_fine for one in outcomes)
    console.print(f"{fine} of {len(outcomes)} turns stored once; {calls} calls of the model")
    return 0 if fine == len(outcomes) == rounds else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000, help="turns, each with a lost answer")
    parser.add_argument("--lanes", type=int, default=4, help="conversations at once")
    parser.add_argument("--seed", type=int, default=1, help="of what is lost when")
    options = parser.parse_args()
    raise SystemExit(main(options.rounds, options.lanes, options.seed))
