"""Rounds of load on all sides, interleaved: long histories at one client, then more clients."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from onionskin.benchmarks.turn.client import Client
from onionskin.benchmarks.turn.figures import Cell, Size, cell_of
from onionskin.benchmarks.turn.histories import sentence, sentences
from onionskin.benchmarks.turn.load import Load, load
from onionskin.benchmarks.turn.plan import Plan
from onionskin.benchmarks.turn.sides import CLASSIC, LAYERED, MEM0, MEM0_INFERS, Side

_SENTENCES, _APART = 500, 1_000_000
_AT_ONE_CLIENT = (MEM0, MEM0_INFERS)  # mem0's FAISS store is not thread-safe
OnProgress = Callable[[str], None]


@dataclass(slots=True)
class _Slot:
    side: Side
    history: int
    clients: int
    loads: list[Load] = field(default_factory=list[Load])
    cpu: list[float] = field(default_factory=list[float])

    @property
    def users(self) -> str:
        return _users(self.history, self.clients)

    @property
    def cell(self) -> Cell:
        return cell_of(self.side.name, self.history, self.clients, loads=self.loads, cpu=self.cpu)


class LoadRounds:
    """Measures sides under load.

    Args:
        sides: The sides by name.
        plan: Sizes of the run.
        folder: Folder for the file of sentences.
        on_progress: Receives a description of each step.
    """

    def __init__(
        self, sides: Mapping[str, Side], plan: Plan, folder: Path, on_progress: OnProgress
    ) -> None:
        self._sides, self._plan, self._on_progress = sides, plan, on_progress
        self._texts = folder / "sentences.txt"
        self._texts.write_text("\n".join(sentences(_SENTENCES, seed=5)))
        self._numbers = itertools.count(1)
        self.sizes: list[Size] = []

    def run(self) -> Iterator[Cell]:
        """The cell of each side and load of the plan."""
        slots = [*self._histories(), *self._crowds()]
        for slot in slots:
            self._on_progress(f"filling {slot.side.name}: {slot.clients} x {slot.history:,} turns")
            self.sizes.append(self._fill(slot))
        for clients in self._plan.clients:
            self._interleave([slot for slot in slots if slot.clients == clients])
        return iter([slot.cell for slot in slots])

    def user(self, history: int) -> str:
        """The user with this history in the cells with one client."""
        return f"{_users(history, 1)}0"

    def _histories(self) -> Iterator[_Slot]:
        first, *longer = self._plan.histories
        for side in self._sides.values():
            yield _Slot(side, first, 1)
        for history in longer:
            for name in (LAYERED, CLASSIC):
                yield _Slot(self._sides[name], history, 1)

    def _crowds(self) -> Iterator[_Slot]:
        for clients in self._plan.clients[1:]:
            for side in self._sides.values():
                if side.name not in _AT_ONE_CLIENT:
                    yield _Slot(side, self._plan.histories[0], clients)

    def _fill(self, slot: _Slot) -> Size:
        side = slot.side
        before = side.redis_bytes(), side.server.resident_bytes
        with Client(side.server.url, side.rest) as client:
            for user in (f"{slot.users}{number}" for number in range(slot.clients)):
                side.fill(user, slot.history, seed=_seed(user))
                client.turn(user, f"{sentence(1)} #{user}-0#")
        after = side.redis_bytes(), side.server.resident_bytes
        redis_bytes, resident = (
            (now - then) // slot.clients if now is not None and then is not None else None
            for then, now in zip(before, after, strict=True)
        )
        return Size(side.name, slot.history, slot.clients, redis_bytes, resident)

    def _interleave(self, slots: Sequence[_Slot]) -> None:
        for slot in slots if self._plan.warm_up_seconds else ():
            self._load(slot, self._plan.warm_up_seconds)
        for turn in range(self._plan.rounds):
            start = turn % len(slots)
            for slot in (*slots[start:], *slots[:start]):
                self._on_progress(
                    f"round {turn + 1}: {slot.side.name}, {slot.clients} clients, "
                    f"history {slot.history:,}"
                )
                began = slot.side.server.cpu_seconds
                slot.loads.append(self._load(slot, self._plan.seconds))
                ended = slot.side.server.cpu_seconds
                if began is not None and ended is not None:
                    slot.cpu.append(ended - began)

    def _load(self, slot: _Slot, seconds: int) -> Load:
        return load(
            slot.side.server.url,
            clients=slot.clients,
            seconds=seconds,
            name=slot.users,
            turn=next(self._numbers) * _APART,
            rest=slot.side.rest,
            texts=self._texts,
        )


def _users(history: int, clients: int) -> str:
    return f"h{history}c{clients}x"


def _seed(user: str) -> int:
    """A seed that is the same in every run."""
    return sum(place * ord(letter) for place, letter in enumerate(user, 1))
