"""Sizes of a run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of a run.

    Attributes:
        rounds: Rounds of load on each side, interleaved.
        seconds: Length of a round.
        warm_up_seconds: Length of the warm-up of each load.
        histories: Earlier turns of a user, at one client.
        clients: Numbers of clients at the same time, with the first of the histories.
        counted_turns: Turns of the session of layered memory whose calls are counted.
        peer_turns: Turns of the sessions of the other sides whose calls are counted.
        slow_pairs: Turns of each side with a model that takes 300 ms.
        first_tokens: Streamed turns of each side.
        starts: Repetitions of `make run` and of the imports.
        peers: Whether mem0 is measured, and every side with the slow model.
    """

    rounds: int = 2
    seconds: int = 2
    warm_up_seconds: int = 1
    histories: tuple[int, ...] = (10, 1_000, 10_000)
    clients: tuple[int, ...] = (1, 16, 64)
    counted_turns: int = 1000
    peer_turns: int = 100
    slow_pairs: int = 8
    first_tokens: int = 40
    starts: int = 2
    peers: bool = True


FULL = Plan()
QUICK = Plan(
    rounds=3,
    seconds=1,
    histories=(10, 10_000),
    clients=(1, 16),
    counted_turns=200,
    peer_turns=50,
    slow_pairs=8,
    first_tokens=30,
    starts=1,
    peers=False,
)
TINY = Plan(
    rounds=1,
    warm_up_seconds=0,
    seconds=1,
    histories=(10,),
    clients=(1, 4),
    counted_turns=30,
    peer_turns=10,
    slow_pairs=2,
    first_tokens=5,
    starts=1,
    peers=False,
)
