"""`onionskin serve --workers n` with the processor time and memory of its processes."""

from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from onionskin.benchmarks.turn.processes import Server, running
from onionskin.benchmarks.turn.sides import LAYERED, Side

_REDIS = ("valkey", "redis")


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processor seconds since the start, by kind of process."""

    workers: float
    redis: float
    model: float


class MeasuredService:
    """A service with several workers, its Redis, and the model that it calls.

    Args:
        side: Address and Redis of the service.
        model: The model server.
    """

    def __init__(self, side: Side, model: Server) -> None:
        self._side, self._model = side, model

    @property
    def url(self) -> str:
        """URL of the service."""
        return self._side.server.url

    def fill(self, user: str, turns: int) -> None:
        """Store a history of a user, in bulk."""
        self._side.fill(user, turns, seed=turns)

    def redis_bytes(self) -> int:
        """Memory of its Redis."""
        return self._side.redis_bytes() or 0

    def resident_bytes(self) -> int:
        """Memory of the started process, which is the worker if there is only one."""
        return self._side.server.resident_bytes or 0

    def cpu(self) -> Cpu:
        """The processor seconds of each kind of process."""
        used = self._side.server.cpu_seconds_by_name
        redis = sum(seconds for name, seconds in used if name.startswith(_REDIS))
        total = sum(seconds for _, seconds in used)
        return Cpu(total - redis, redis, self._model.cpu_seconds or 0.0)


@contextmanager
def open_services(folder: Path, sizes: Iterable[int]) -> Generator[dict[int, MeasuredService]]:
    """Runs the model, and a service of each size, inside of the context."""
    with ExitStack() as stack:
        log = folder / "model.log"
        model = stack.enter_context(running("onionskin.benchmarks.turn.model_server", log=log))
        services: dict[int, MeasuredService] = {}
        for workers in sizes:
            name, data = f"crew-{workers}", folder / f"data-{workers}"
            model_side = f"{model.url}/{name}"
            command = ["serve", "--port", "0", "--data-dir", str(data), "--workers", str(workers)]
            server = stack.enter_context(
                running(
                    "onionskin.service",
                    *command,
                    log=folder / f"{name}.log",
                    settings={
                        "ONIONSKIN_MODEL_BASE_URL": f"{model_side}/v1",
                        "ONIONSKIN_MODEL": "bench",
                    },
                )
            )
            services[workers] = MeasuredService(Side(LAYERED, server, "", data, model_side), model)
        for service in services.values():
            _ = service.url  # all start at the same time, and are awaited here
        yield services
