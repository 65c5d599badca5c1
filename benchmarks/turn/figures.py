"""What was measured, as it is written to the JSON file."""

import statistics
from collections.abc import Callable, Sequence

import msgspec

from onionskin.benchmarks.turn.load import Load, Loads


class Cell(msgspec.Struct):
    """Turns of one side under one load.

    Attributes:
        side: which.
        history: turns that each user had before.
        clients: how many at once.
        turns, errors: answers that came, and answers that were none.
        p50_ms, p99_ms: of a turn.
        turns_per_second: over all stretches.
        turns_per_cpu_second: of the server and its Redis; None where it cannot be known.
        p50_by_round, rate_by_round: of each stretch, for ratios with those of the same round.
    """

    side: str
    history: int
    clients: int
    turns: int
    errors: int
    p50_ms: float
    p99_ms: float
    turns_per_second: float
    turns_per_cpu_second: float | None
    p50_by_round: list[float]
    rate_by_round: list[float]


class Calls(msgspec.Struct):
    """What a new session of one side asked of the model.

    Attributes:
        side: which.
        turns: how many, the same for each figure.
        model_calls, embedding_calls: a turn, folds and the like included.
        awaited_embedding_calls: those that turns wait for.
        prompt_tokens: a turn's prompt on average, estimated as Onionskin's budgets are.
        most_prompt_tokens: of the longest prompt.
        cacheable: the share of a prompt that is the beginning of the one before it.
    """

    side: str
    turns: int
    model_calls: float
    embedding_calls: float
    awaited_embedding_calls: float
    prompt_tokens: float
    most_prompt_tokens: int
    cacheable: float


class Size(msgspec.Struct):
    """What each of some users takes up: bytes in Redis, and in the server once they have spoken."""

    side: str
    history: int
    users: int
    redis_bytes: int | None
    resident_bytes: int | None


class Figures(msgspec.Struct):
    """One run.

    Attributes:
        hardware: of the machine.
        cells: turns under load, with a model that answers at once.
        slow_ms: p50 by side of one client's turns, the model taking 300 ms, an embedding 50 ms.
        calls: what was asked of the model.
        prompt_tokens: the longest prompt of layered memory, by the length of the history.
        prompt_budget: the tokens that the budgets of layered memory allow for.
        sizes: what users take up.
        first_token_ms: p50 by side.
        first_token_overhead_ms: of layered memory over bare.
        embedder_ms: what the built-in embedder adds to a turn: message and reply.
        first_answer_seconds: from `make run` to the first answer, everything installed.
        import_seconds: to import the service.
        left_out: why sides are missing.
    """

    hardware: str
    cells: list[Cell] = []
    slow_ms: dict[str, float] = {}
    calls: list[Calls] = []
    prompt_tokens: dict[int, int] = {}
    prompt_budget: int = 0
    sizes: list[Size] = []
    first_token_ms: dict[str, float] = {}
    first_token_overhead_ms: float = 0.0
    embedder_ms: float = 0.0
    first_answer_seconds: float = 0.0
    import_seconds: float = 0.0
    left_out: list[str] = []

    def cell(self, side: str, *, history: int, clients: int) -> Cell:
        """One of the cells.

        Raises:
            KeyError: it was not measured.
        """
        for one in self.cells:
            if (one.side, one.history, one.clients) == (side, history, clients):
                return one
        raise KeyError((side, history, clients))

    def calls_of(self, side: str) -> Calls:
        """Those of one side.

        Raises:
            KeyError: it was not measured.
        """
        for one in self.calls:
            if one.side == side:
                return one
        raise KeyError(side)


def cell_of(side: str, history: int, clients: int, *, loads: list[Load], cpu: list[float]) -> Cell:
    """The cell of a side's stretches.

    Args:
        side: which.
        history: turns that each user had before.
        clients: how many at once.
        loads: its stretches.
        cpu: the processor seconds of each; empty where they cannot be known.
    """
    whole = Loads(loads)
    used = sum(cpu)
    return Cell(
        side=side,
        history=history,
        clients=clients,
        turns=whole.turns,
        errors=whole.errors,
        p50_ms=whole.percentile(0.5),
        p99_ms=whole.percentile(0.99),
        turns_per_second=whole.per_second,
        turns_per_cpu_second=whole.turns / used if used else None,
        p50_by_round=[Loads([one]).percentile(0.5) for one in loads],
        rate_by_round=[Loads([one]).per_second for one in loads],
    )


def ratio(one: Cell, other: Cell, figure: Callable[[Cell], Sequence[float]]) -> float:
    """The median, over rounds, of one cell's figure to the other's in the same round.

    A round in which either answered nothing is left out.
    """
    pairs = zip(figure(one), figure(other), strict=True)
    ratios = [mine / its for mine, its in pairs if mine and its]
    return statistics.median(ratios) if ratios else float("nan")
