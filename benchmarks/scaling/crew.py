"""`onionskin serve --workers n` under measurement, and what each of its processes used."""

from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from onionskin.benchmarks.turn.processes import Server, running
from onionskin.benchmarks.turn.sides import LAYERED, Side

_REDIS = ("valkey", "redis")


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processor seconds so far."""

    workers: float
    redis: float
    model: float


class Crew:
    """Some workers before one Redis, and the model that they ask.

    Args:
        side: their address and Redis.
        model: the server that answers as a model.
    """

    def __init__(self, side: Side, model: Server) -> None:
        self._side, self._model = side, model

    @property
    def url(self) -> str:
        """Where they serve."""
        return self._side.server.url

    def fill(self, user: str, turns: int) -> None:
        """Give a user a history, in bulk."""
        self._side.fill(user, turns, seed=turns)

    def redis_bytes(self) -> int:
        """How much their Redis holds."""
        return self._side.redis_bytes() or 0

    def resident_bytes(self) -> int:
        """The memory of the process that was started: the worker, where it is the only one."""
        return self._side.server.resident_bytes or 0

    def cpu(self) -> Cpu:
        """What each kind of process has used."""
        used = self._side.server.cpu_seconds_by_name
        redis = sum(seconds for name, seconds in used if name.startswith(_REDIS))
        whole = sum(seconds for _, seconds in used)
        return Cpu(whole - redis, redis, self._model.cpu_seconds or 0.0)


@contextmanager
def open_crews(folder: Path, sizes: Iterable[int]) -> Generator[dict[int, Crew]]:
    """Start the model, and a crew of each size; stop them in the end."""
    with ExitStack() as stack:
        log = folder / "model.log"
        model = stack.enter_context(running("onionskin.benchmarks.turn.model_server", log=log))
        crews: dict[int, Crew] = {}
        for workers in sizes:
            name, data = f"crew-{workers}", folder / f"data-{workers}"
            asked = f"{model.url}/{name}"
            served = ["serve", "--port", "0", "--data-dir", str(data), "--workers", str(workers)]
            server = stack.enter_context(
                running(
                    "onionskin.service",
                    *served,
                    log=folder / f"{name}.log",
                    settings={
                        "ONIONSKIN_MODEL_BASE_URL": f"{asked}/v1",
                        "ONIONSKIN_MODEL": "bench",
                    },
                )
            )
            crews[workers] = Crew(Side(LAYERED, server, "", data, asked), model)
        for crew in crews.values():
            _ = crew.url  # they start at the same time; here all are awaited
        yield crews
