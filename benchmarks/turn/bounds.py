"""Bounds for the cost of a turn, relative to the other sides of the same run."""

from collections.abc import Iterator
from dataclasses import dataclass

from onionskin.benchmarks.turn.figures import Cell, Figures, ratio
from onionskin.benchmarks.turn.sides import BARE, CLASSIC, LAYERED, REMOTE

_MANY = 16
_FAR = 2.0


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound and its measured value.

    Attributes:
        name: The figure that is bounded.
        value: The measured value.
        limit: The largest allowed value, or the smallest.
        at_least: Whether `limit` is the smallest allowed value.
        is_ratio: Whether it is a ratio within the run, or a count; durations depend on the machine.
        far: The limit of `is_far_off`, where twice the bound cannot be met on a machine with
            shared cores; see docs/performance.md.
    """

    name: str
    value: float
    limit: float
    at_least: bool = False
    is_ratio: bool = True
    far: float | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the value is within the bound."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def is_far_off(self) -> bool:
        """Whether a ratio is worse than twice its bound, or than `far`."""
        if self.at_least:
            return self.is_ratio and not self.value >= (self.far or self.limit / _FAR)
        return self.is_ratio and not self.value <= (self.far or self.limit * _FAR)


def bounds(figures: Figures) -> list[Bound]:
    """All bounds, with the figures of a run."""
    return [*_latency(figures), *_throughput(figures), *_model_calls(figures), *_waits(figures)]


def _latency(figures: Figures) -> Iterator[Bound]:
    histories = sorted({cell.history for cell in figures.cells if cell.side == LAYERED})
    short, long = histories[0], histories[-1]
    bare = figures.cell(BARE, history=short, clients=1)
    for history in dict.fromkeys((short, long)):
        layered = figures.cell(LAYERED, history=history, clients=1)
        name = f"p50, layered / bare, history of {history:,} turns"
        far = 6.0 if history == short else 8.0
        yield Bound(name, ratio(layered, bare, _p50), 1.5, far=far)
    grown, fresh = (figures.cell(LAYERED, history=turns, clients=1) for turns in (long, short))
    name = f"p50, history of {long:,} turns / {short:,}"
    yield Bound(name, ratio(grown, fresh, _p50), 1.15)
    slow = figures.slow_ms
    yield Bound("p50, layered / bare, model of 300 ms", slow[LAYERED] / slow[BARE], 1.01)


def _throughput(figures: Figures) -> Iterator[Bound]:
    crowds = [cell for cell in figures.cells if cell.side == LAYERED and cell.clients > 1]
    layered = min(crowds, key=lambda cell: abs(cell.clients - _MANY))
    for side, limit, far in ((BARE, 0.7, None), (CLASSIC, 5.0, 1.0)):
        other = figures.cell(side, history=layered.history, clients=layered.clients)
        name = f"turns a second, layered / {side}, {layered.clients} clients"
        yield Bound(name, ratio(layered, other, _rate), limit, at_least=True, far=far)


def _model_calls(figures: Figures) -> Iterator[Bound]:
    layered, remote = figures.calls_of(LAYERED), figures.calls_of(REMOTE)
    name = f"model calls a turn, summaries included, {layered.turns:,} turns"
    yield Bound(name, layered.model_calls, 1.2)
    name = "embedding calls that a turn waits for, remote embedder"
    yield Bound(name, remote.awaited_embedding_calls, 1.0)
    longest = max(figures.prompt_tokens.values())
    yield Bound("longest prompt / what the budgets allow", longest / figures.prompt_budget, 1.0)
    yield Bound("cacheable share of the prompt", layered.cacheable, 0.6, at_least=True)


def _waits(figures: Figures) -> Iterator[Bound]:
    yield Bound("built-in embedder, ms a turn", figures.embedder_ms, 0.2, is_ratio=False)
    overhead = figures.first_token_overhead_ms
    yield Bound("first token after bare's, ms", overhead, 5.0, is_ratio=False)
    seconds = figures.first_answer_seconds
    yield Bound("make run to the first answer, s", seconds, 3.0, is_ratio=False)
    yield Bound("import of the service, s", figures.import_seconds, 1.5, is_ratio=False)


def _p50(cell: Cell) -> list[float]:
    return cell.p50_by_round


def _rate(cell: Cell) -> list[float]:
    return cell.rate_by_round
