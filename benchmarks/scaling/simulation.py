"""A cluster as queues: clients, workers, Redis masters, and a model that keeps turns waiting.

Each process does one thing at a time, first come, first served; what it does holds a core of its
machine. A turn visits its worker, its user's Redis, the worker, the model, the worker and Redis
again, as `onionskin.chains.conversation` does; then its client speaks anew.
"""

import heapq
import random
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from onionskin.benchmarks.scaling.constants import Constants

_BEFORE, _PROMPT, _AFTER = 0.1, 0.6, 0.3  # shares of a worker's time: until Redis, the model, after
_WARM_UP = 0.2  # the share of the time that is not counted


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is simulated.

    Attributes:
        workers: processes that serve.
        masters: of Redis; users are spread over them.
        clients: who speak at once, each without a pause but `think`.
        cores: of the one machine that everything shares; None where each process has its own.
        model_seconds: how long an answer takes.
        think_seconds: how long a client waits before the next message, in the mean.
        users: how many there are; a client speaks for any of them.
        messages: of a user.
        views_bytes: what a worker may keep of its users; None for all of them.
        sticky: whether a user's turns go to the same worker.
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
    """What came of it.

    Attributes:
        turns_per_second: answered.
        p50_ms: of a turn, the model's time included.
        p99_ms: of a turn.
        cold: the share of turns whose worker had to read the user's messages first.
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
    """Time, and the cores that processes share."""

    def __init__(self, cores: int | None) -> None:
        self.now, self._free, self._serial = 0.0, cores, 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._ready: deque[_Process] = deque()

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Do it later."""
        self._serial += 1
        heapq.heappush(self._events, (self.now + seconds, self._serial, do))

    def work(self, process: _Process, seconds: float, then: Callable[[], None]) -> None:
        """Have a process work for so long, once it and a core are free."""
        process.waiting.append((seconds, then))
        if not process.busy and len(process.waiting) == 1:
            self._ready.append(process)
            self._start()

    def run(self, until: float) -> None:
        """Let time pass."""
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


class _Views:
    """Whose messages a worker knows; who has not spoken for longest is forgotten first."""

    def __init__(self, most: int | None) -> None:
        self._known: OrderedDict[int, None] = OrderedDict()
        self._most = most

    def knows(self, user: int) -> bool:
        """Whether it knew the user; now it does."""
        known = user in self._known
        self._known[user] = None
        self._known.move_to_end(user)
        if self._most is not None and len(self._known) > self._most:
            self._known.popitem(last=False)
        return known


def simulate(cluster: Cluster, costs: Constants, *, seconds: float, seed: int = 1) -> Served:
    """Let a cluster serve for so long.

    Args:
        cluster: what there is.
        costs: of a turn.
        seconds: of simulated time, of which the first fifth is not counted.
        seed: of the draws.
    """
    draw, machine = random.Random(seed), _Machine(cluster.cores)
    workers = [_Process() for _ in range(cluster.workers)]
    masters = [_Process() for _ in range(cluster.masters)]
    model, clients = _Process(), [_Process() for _ in range(cluster.clients)]
    most = None
    if cluster.views_bytes is not None:
        most = int(cluster.views_bytes / max(cluster.messages * costs.view_bytes, 1))
    views = [_Views(most) for _ in workers]
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
