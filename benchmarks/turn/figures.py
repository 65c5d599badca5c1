"""The figures of a run, as they are written as JSON."""

import statistics
from collections.abc import Callable, Sequence

import msgspec

from onionskin.benchmarks.turn.load import Load, Loads


class Cell(msgspec.Struct):
    """The turns of a side under one load.

    Attributes:
        side: Name of the side.
        history: Earlier turns of each user.
        clients: Number of clients at the same time.
        turns, errors: Numbers of answers and of failures.
        p50_ms, p99_ms: Duration of a turn.
        turns_per_second: Over all rounds.
        turns_per_cpu_second: Per processor second of the server and its Redis; None if unknown.
        p50_by_round, rate_by_round: Of each round, for ratios within a round.
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
    """The model calls of a new session of a side.

    Attributes:
        side: Name of the side.
        turns: Turns of the session.
        model_calls, embedding_calls: Calls per turn, including background calls such as summaries.
        awaited_embedding_calls: Calls per turn that the turn waits for.
        prompt_tokens: Mean tokens of a turn's prompt, by Onionskin's estimate.
        most_prompt_tokens: Tokens of the longest prompt.
        cacheable: Share of a prompt that is a prefix of the previous prompt.
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
    """Bytes per user: in Redis, and in the server after a turn."""

    side: str
    history: int
    users: int
    redis_bytes: int | None
    resident_bytes: int | None


class Figures(msgspec.Struct):
    """The figures of a run.

    Attributes:
        hardware: The machine.
        cells: Turns under load, with a model without latency.
        slow_ms: p50 of one client's turns by side; the model takes 300 ms, an embedding 50 ms.
        calls: Model calls by side.
        prompt_tokens: Tokens of layered memory's longest prompt, by the length of the history.
        prompt_budget: Tokens that the budgets of layered memory allow.
        sizes: Bytes per user.
        first_token_ms: p50 to the first token by side.
        first_token_overhead_ms: Time to the first token of layered memory minus that of bare.
        embedder_ms: Time of the built-in embedder per turn, for message and reply.
        first_answer_seconds: From `make run` to the first answer, with everything installed.
        import_seconds: Time to import the service.
        left_out: Reasons why sides are missing.
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
        """The cell of a side and a load.

        Raises:
            KeyError: It was not measured.
        """
        for cell in self.cells:
            if (cell.side, cell.history, cell.clients) == (side, history, clients):
                return cell
        raise KeyError((side, history, clients))

    def calls_of(self, side: str) -> Calls:
        """The model calls of a side.

        Raises:
            KeyError: It was not measured.
        """
        for calls in self.calls:
            if calls.side == side:
                return calls
        raise KeyError(side)


def cell_of(side: str, history: int, clients: int, *, loads: list[Load], cpu: list[float]) -> Cell:
    """The cell of a side's rounds.

    Args:
        side: Name of the side.
        history: Earlier turns of each user.
        clients: Number of clients at the same time.
        loads: Load of each round.
        cpu: Processor seconds of each round; empty if unknown.
    """
    total = Loads(loads)
    used = sum(cpu)
    return Cell(
        side=side,
        history=history,
        clients=clients,
        turns=total.turns,
        errors=total.errors,
        p50_ms=total.percentile(0.5),
        p99_ms=total.percentile(0.99),
        turns_per_second=total.per_second,
        turns_per_cpu_second=total.turns / used if used else None,
        p50_by_round=[Loads([load]).percentile(0.5) for load in loads],
        rate_by_round=[Loads([load]).per_second for load in loads],
    )


def ratio(cell: Cell, base: Cell, figure: Callable[[Cell], Sequence[float]]) -> float:
    """The median over rounds of a cell's figure divided by the base's in the same round.

    Rounds without an answer of either are left out.
    """
    pairs = zip(figure(cell), figure(base), strict=True)
    ratios = [value / base_value for value, base_value in pairs if value and base_value]
    return statistics.median(ratios) if ratios else float("nan")
