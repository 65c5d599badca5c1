"""Measures whether a turn takes longer with a longer history, over thousands of turns by HTTP.

    .venv/bin/python -m onionskin.benchmarks.flat_turns --turns 5000 --runs 2

Service, embedded Redis (`appendfsync always`) and a local server of the OpenAI protocol run in
processes of their own; summaries are written in the background. Prints the p50 of the first and of
the last hundred turns, and their ratio. These are minutes apart, on a machine that may be busy with
other work; so the p50 of two hundred more turns follows, alternating with turns of a new user.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from rich.progress import track

from tests.services import running_service

_EDGE = 100
_WARM_UP = 40
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
_VOCABULARY = 5000


def main() -> None:
    """Measure, and print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--turns", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--profile", default="layered")
    options = parser.parse_args()
    for run in range(1, options.runs + 1):
        durations, pairs = _session(options.turns, options.profile, seed=run)
        first, last = (statistics.median(part) for part in (durations[:_EDGE], durations[-_EDGE:]))
        old, new = (statistics.median(part) for part in zip(*pairs, strict=True))
        print(
            f"run {run}, {options.turns} turns, {options.profile}: p50 of the first {_EDGE} "
            f"{first * 1e3:.2f} ms, of the last {_EDGE} {last * 1e3:.2f} ms, "
            f"ratio {last / first:.3f}; alternating with a new user {old * 1e3:.2f} ms to "
            f"{new * 1e3:.2f} ms, ratio {old / new:.3f}"
        )


def _session(
    turns: int, profile: str, *, seed: int
) -> tuple[list[float], list[tuple[float, float]]]:
    """Seconds of each turn, and of further pairs of turns: of the old user and of a new one."""
    draw = random.Random(seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-m", "tests.openai_server"], stdout=subprocess.PIPE, text=True
        ) as model,
    ):
        assert model.stdout
        url = model.stdout.readline().split()[-1]
        settings = {"ONIONSKIN_MODEL_BASE_URL": url, "ONIONSKIN_MODEL": "test-model"}
        with running_service(Path(folder), **settings) as service, service.client() as client:
            durations = [
                _turn(client, "old", _sentence(draw), profile)
                for _ in track(range(turns), description=f"{turns} turns")
            ]
            for _ in range(_WARM_UP):
                _turn(client, "new", _sentence(draw), profile)
            pairs = [
                (
                    _turn(client, "old", _sentence(draw), profile),
                    _turn(client, "new", _sentence(draw), profile),
                )
                for _ in range(2 * _EDGE)
            ]
        model.terminate()
    return durations, pairs


def _turn(client: httpx.Client, user: str, message: str, profile: str) -> float:
    started = time.perf_counter()
    body = {"user_id": user, "message": message, "profile": profile}
    client.post("/v1/chat", json=body).raise_for_status()
    return time.perf_counter() - started


def _sentence(draw: random.Random) -> str:
    """Twelve invented words, with word frequencies as in speech (Zipf)."""
    ranks = (int(_VOCABULARY ** draw.random()) for _ in range(12))
    return " ".join(map(_word, ranks)).capitalize() + "."


def _word(rank: int) -> str:
    count = len(_SYLLABLES)
    return _SYLLABLES[rank % count] + _SYLLABLES[rank // count % count]


if __name__ == "__main__":
    main()
