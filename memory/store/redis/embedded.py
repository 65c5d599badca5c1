"""Embedded Redis: a private server on one machine, started with the service, restarted if it dies.

It listens only on a unix socket in the data directory. Every write is on disk before it is
acknowledged (`appendfsync always`). Commands beside a running service attach to its server.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
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
from onionskin.memory.store.redis.server_binary import (
    ServerBinary,
    choose_server,
    record_version,
)

_MAX_SOCKET_PATH = 100
_STOP_SECONDS = 10.0
_PRIVATELY = ("/bin/sh", "-c", 'umask 077 && exec "$@"', "sh")
"""A command before the server's, so that no other user can read its files."""
_OF_OTHERS = 0o077
_log = logging.getLogger("onionskin.redis")


class EmbeddedRedis:
    """The Redis of a data directory. Use `async with EmbeddedRedis(directory) as redis: redis.url`.

    Args:
        directory: Where it stores data; created if missing.
        server: Binary of the server; None for the first installed one that can read the data.

    Raises:
        EmbeddedRedisError: Another service runs on the directory, or no server can be started.
    """

    def __init__(self, directory: Path, server: Path | None = None) -> None:
        self.directory, self._server = directory.resolve(), server
        self.socket = socket_path(self.directory)
        self.url = f"unix://{self.socket}"
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._lock: IO[str] | None = None

    async def __aenter__(self) -> Self:
        binary = choose_server(self.directory, self._server)
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _lock_directory(self.directory)
            _restrict_access(self.directory)
        except OSError as error:
            raise EmbeddedRedisError(
                f"The data directory {str(self.directory)!r} cannot be used: {error.strerror}. "
                "Name another with ONIONSKIN_DATA_DIR."
            ) from error
        try:
            await _stop_orphan(self.socket)
            await self._start(binary)
            record_version(self.directory, binary.version)
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

    async def _start(self, binary: ServerBinary) -> None:
        self.socket.unlink(missing_ok=True)
        log = self.directory / "redis.log"
        # A session of its own: Ctrl-C in a terminal stops the service, and the service stops Redis.
        self._process = await asyncio.create_subprocess_exec(
            *_PRIVATELY,
            str(binary.path),
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
                    f"{binary} stopped while starting (exit {self._process.returncode}); the end "
                    f"of {str(log)!r} has the reason. Copy {str(self.directory)!r} before you "
                    "repair anything: redis-check-aof --fix discards data."
                )
            await asyncio.sleep(0.01)

    async def _supervise(self, binary: ServerBinary) -> None:
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


def _restrict_access(directory: Path) -> None:
    """Take other users' access to the files of a folder that existed before, or warn about it."""
    files = [*directory.glob("appendonlydir/**/*"), *directory.glob("*.rdb")]
    files += [directory / name for name in ("appendonlydir", "redis.log")]
    open_files: list[str] = []
    for path in files:
        try:
            mode = path.stat().st_mode
            if mode & _OF_OTHERS:
                path.chmod(mode & ~_OF_OTHERS & 0o777)
        except FileNotFoundError:
            continue
        except OSError:
            open_files.append(str(path))
    if open_files:
        _log.warning(
            "other users can read stored messages; change the owner or the mode of the files",
            extra={"files": open_files[:3], "count": len(open_files)},
        )


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
async def attach_or_start(directory: Path, server: Path | None = None) -> AsyncGenerator[str]:
    """The URL of a data directory's Redis: the running one, or one that runs until exit.

    Raises:
        EmbeddedRedisError: It cannot be started.
    """
    socket = socket_path(directory.resolve())
    if socket.exists() and await answers(socket):
        yield f"unix://{socket}"
        return
    async with EmbeddedRedis(directory, server) as redis:
        yield redis.url
