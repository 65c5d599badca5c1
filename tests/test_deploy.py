"""Deployment files are well-formed, and name existing settings and commands."""

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs]
import pytest
import redis
import yaml  # noqa: TID251 - files of our own
from typer.main import get_command

from onionskin.memory.store.redis.server_binary import choose_server
from onionskin.service.cli.main import app
from onionskin.service.settings import Settings
from onionskin.service.settings_sources import variable
from tests.conftest import repository

_KUBERNETES = sorted((repository() / "deploy/kubernetes").glob("*.yaml"))
_YAML = [*_KUBERNETES, *sorted((repository() / "deploy").rglob("*.yaml"))]
_COMPOSE = repository() / "compose.yaml"


def _documents(file: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(file.read_text()) if one]


def _compose() -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load(_COMPOSE.read_text()))


def _containers() -> list[dict[str, Any]]:
    pods = (one["spec"] for file in _KUBERNETES for one in _documents(file) if "spec" in one)
    templates = (spec["template"] for spec in pods if "template" in spec)
    return [one for template in templates for one in template["spec"]["containers"]]


def test_the_dockerfile_passes_its_linter() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [linter, repository() / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_image_contains_every_package() -> None:
    dockerfile = (repository() / "Dockerfile").read_text()
    ignored = (repository() / ".dockerignore").read_text()
    assert "WORKDIR /src\n" in dockerfile
    links = [path for path in (repository() / "src/onionskin").iterdir() if path.is_symlink()]
    assert {"memory", "chains", "service", "client"} <= {link.name for link in links}
    for link in links:
        assert link.readlink() == Path("../..", link.name), "links must resolve beside /src/src"
    for folder in ("src", *(link.name for link in links)):
        assert f"COPY {folder} {folder}\n" in dockerfile
        assert f"!{folder}\n" in ignored


@pytest.mark.parametrize("file", _KUBERNETES, ids=lambda file: file.name)
def test_the_manifests_match_kubernetes_schemas(file: Path) -> None:
    for document in _documents(file):
        if document["kind"] != "Kustomization":
            kubernetes_validate.validate(document, "1.34", strict=True)
    if file.name == "kustomization.yaml":
        (kustomization,) = _documents(file)
        assert sorted(kustomization["resources"]) == sorted(
            one.name for one in _KUBERNETES if one != file
        )


@pytest.mark.parametrize("file", [*_YAML, _COMPOSE, repository() / "Dockerfile"], ids=str)
def test_only_existing_settings_are_named(file: Path) -> None:
    known = {variable(name) for name in Settings.model_fields}
    named = set(re.findall(r"\bONIONSKIN_[A-Z_]+\b", re.sub("#.*", "", file.read_text())))
    assert named <= known


def test_only_existing_commands_are_run() -> None:
    commands = set(getattr(get_command(app), "commands", {}))
    services = _compose()["services"]
    run = [services["worker"]["command"], *(one["args"] for one in _containers())]
    ours = [arguments for arguments in run if arguments[0] != "valkey-server"]
    assert {arguments[0] for arguments in ours} == {"serve", "worker"} <= commands


@pytest.mark.parametrize("where", ["compose", "kubernetes"])
def test_redis_is_configured_durably(where: str, tmp_path: Path) -> None:
    """Start the real server with these arguments, and read its configuration."""
    if where == "compose":
        command = _compose()["services"]["redis"]["command"]
    else:
        (command,) = (one["args"] for one in _containers() if one["args"][0] == "valkey-server")
    port_and_place = ["--port", "0", "--unixsocket", str(tmp_path / "s"), "--dir", str(tmp_path)]
    with subprocess.Popen(
        [
            choose_server(tmp_path).path,
            *command[1:],
            *port_and_place,
            "--logfile",
            str(tmp_path / "log"),
        ]
    ) as server:
        try:
            configuration = _configuration(tmp_path / "s")
        finally:
            server.terminate()
    assert configuration == {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "slowlog-log-slower-than": "-1",
        "save": "",
    }


def _configuration(socket: Path) -> dict[str, str]:
    deadline = time.monotonic() + 20
    while not socket.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with cast("Any", redis.Redis)(unix_socket_path=str(socket), decode_responses=True) as client:
        names = ("appendonly", "appendfsync", "maxmemory-policy", "slowlog-log-slower-than", "save")
        return cast("dict[str, str]", client.config_get(*names))
