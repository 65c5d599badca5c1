"""Simulates a cluster as queues: clients, workers, Redis masters, and a model with latency.

Each process does one thing at a time, first come, first served, and occupies a core for it. A
turn visits its worker, its user's Redis, the worker, the model, the worker and Redis, as in
`onionskin.chains.conversation`. Then its client sends the next message.
"""

import heapq
import random
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from onionskin.benchmarks.scaling.constants import Constants

_BEFORE, _PROMPT, _AFTER = (
    0.1,
    0.6,
    0.3,
)  # shares of a worker's time: before Redis, before the model, after
_WARM_UP = 0.2  # share of the simulated time that is not counted


@dataclass(frozen=True, slots=True)
class Cluster:
    """A simulated cluster.

    Attributes:
        workers: Number of worker processes.
        masters: Number of Redis masters, over which users are spread.
        clients: Number of clients at the same time.
        cores: Cores of the machine that all share; None if each process has a core of its own.
        model_seconds: Latency of the model.
        think_seconds: Mean pause of a client between turns.
        users: Number of users; each turn is of a random user.
        messages: Messages of each user.
        views_bytes: Size limit of a worker's indexes; None for no limit.
        sticky: Whether all turns of a user go to the same worker.
    """

    workers: int = 1
    masters: int = 1
    clients: int = 16
    cores: int | None = None
    model_seconds: float = 0.0
    think_seconds: float = 0.0
    users: int = 16
    messages: int = 0
    views_bytes: float | None = None
    sticky: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """The result of a simulation.

    Attributes:
        turns_per_second: Throughput.
        p50_ms: Duration of a turn, including the model's latency.
        p99_ms: Duration of a turn, including the model's latency.
        cold: Share of turns whose worker had to build the user's index first.
    """

    turns_per_second: float
    p50_ms: float
    p99_ms: float
    cold: float


class _Process:
    def __init__(self) -> None:
        self.waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self.busy = False


class _Machine:
    """The simulated time, and the cores that processes share."""

    def __init__(self, cores: int | None) -> None:
        self.now, self._free, self._serial = 0.0, cores, 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._ready: deque[_Process] = deque()

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Call `do` after a delay."""
        self._serial += 1
        heapq.heappush(self._events, (self.now + seconds, self._serial, do))

    def work(self, process: _Process, seconds: float, then: Callable[[], None]) -> None:
        """Occupy a process for some time, once it and a core are free; then call `then`."""
        process.waiting.append((seconds, then))
        if not process.busy and len(process.waiting) == 1:
            self._ready.append(process)
            self._start()

    def run(self, until: float) -> None:
        """Process all events until a time."""
        while self._events and self._events[0][0] <= until:
            self.now, _, do = heapq.heappop(self._events)
            do()

    def _start(self) -> None:
        while self._ready and self._free != 0:
            process = self._ready.popleft()
            seconds, then = process.waiting.popleft()
            process.busy = True
            if self._free is not None:
                self._free -= 1
            self.after(seconds, lambda process=process, then=then: self._end(process, then))

    def _end(self, process: _Process, then: Callable[[], None]) -> None:
        process.busy = False
        if self._free is not None:
            self._free += 1
        if process.waiting:
            self._ready.append(process)
        then()
        self._start()


class _Indexes:
    """The users in a worker's indexes; the least recently used one is evicted first."""

    def __init__(self, most: int | None) -> None:
        self._known: OrderedDict[int, None] = OrderedDict()
        self._most = most

    def knows(self, user: int) -> bool:
        """Whether the user's index exists; it is added otherwise."""
        known = user in self._known
        self._known[user] = None
        self._known.move_to_end(user)
        if self._most is not None and len(self._known) > self._most:
            self._known.popitem(last=False)
        return known


def simulate(cluster: Cluster, costs: Constants, *, seconds: float, seed: int = 1) -> Served:
    """Simulate a cluster for some time.

    Args:
        cluster: The cluster.
        costs: Costs of a turn and a message.
        seconds: Simulated time; its first fifth is not counted.
        seed: Seed of the random numbers.
    """
    draw, machine = random.Random(seed), _Machine(cluster.cores)
    workers = [_Process() for _ in range(cluster.workers)]
    masters = [_Process() for _ in range(cluster.masters)]
    model, clients = _Process(), [_Process() for _ in range(cluster.clients)]
    most = None
    if cluster.views_bytes is not None:
        most = int(cluster.views_bytes / max(cluster.messages * costs.view_bytes, 1))
    views = [_Indexes(most) for _ in workers]
    took: list[float] = []
    cold = 0
    counted_from = seconds * _WARM_UP

    def pause() -> float:
        think = cluster.think_seconds
        return draw.expovariate(1 / think) if think else 0.0

    def speak(client: int) -> None:
        began = machine.now
        user = draw.randrange(cluster.users)
        place = user % cluster.workers if cluster.sticky else draw.randrange(cluster.workers)
        worker, master = workers[place], masters[user % cluster.masters]
        is_cold = not views[place].knows(user)
        reading = cluster.messages * costs.cold_seconds if is_cold else 0.0
        half_redis = costs.redis_seconds / 2

        def step(number: int) -> None:
            nonlocal cold
            if number == len(route):
                if machine.now >= counted_from:
                    took.append(machine.now - began)
                    cold += is_cold
                machine.after(pause(), _following(speak, client))
            else:
                process, work = route[number]
                following = _following(step, number + 1)
                if process is None:
                    machine.after(work, following)
                else:
                    machine.work(process, work, following)

        route: list[tuple[_Process | None, float]] = [
            (clients[client], costs.client_seconds),
            (worker, costs.worker_seconds * _BEFORE),
            (master, half_redis),
            (worker, costs.worker_seconds * _PROMPT + reading),
            (model, costs.model_seconds),
            (None, cluster.model_seconds),
            (worker, costs.worker_seconds * _AFTER),
            (master, half_redis),
        ]
        step(0)

    for client in range(cluster.clients):
        machine.after(pause(), _following(speak, client))
    machine.run(seconds)
    took.sort()
    if not took:
        return Served(0.0, 0.0, 0.0, 0.0)
    return Served(
        turns_per_second=len(took) / (seconds - counted_from),
        p50_ms=median(took) * 1e3,
        p99_ms=took[int(len(took) * 0.99)] * 1e3,
        cold=cold / len(took),
    )


def _following(do: Callable[[int], None], number: int) -> Callable[[], None]:
    return lambda: do(number)
