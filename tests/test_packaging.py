"""The wheel holds one package with all its files, and runs beside a program's own modules."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import repository
from tests.services import running_many

_COPIED = (
    *("memory", "chains", "service", "client", "experiments", "benchmarks", "src", "scripts"),
    *("pyproject.toml", "README.md", "LICENSE"),
)
_NAMESAKES = ("memory/__init__.py", "service/__init__.py", "chains/__init__.py", "client.py")
_IMPORTS = (
    "import onionskin.memory.combined, onionskin.chains.conversation, onionskin.client;"
    "print(onionskin.__file__)"
)


def _build(folder: Path, **environment: str) -> Path:
    """Build a wheel from a copy of the source."""
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "node_modules")
    for name in _COPIED:
        path = repository() / name
        if path.is_dir():
            shutil.copytree(path, source / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(path, source)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=source, env=os.environ | environment, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The folder of a program whose modules have the names of ours."""
    for name in _NAMESAKES:
        path = tmp_path / "program" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('raise ImportError("not ours")\n')
    return tmp_path / "program"


def test_the_wheel_holds_one_package_and_all_its_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name, count in Counter(names).items() if count > 1] == []
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"onionskin"}
    assert not [name for name in names if re.search(r"/(tests|src|scripts)/", name)]
    expected = {
        f"onionskin/{path.relative_to(repository())}"
        for package in _COPIED[:6]
        for path in (repository() / package).rglob("*")
        if path.suffix in {".py", ".lua", ".toml", ".html", ".js", ".css", ".safetensors", ".json"}
    }
    assert expected <= {*names}
    kernel = "onionskin/memory/retrieval/ranking/_kernel.abi3.so"
    assert (kernel in names) == (shutil.which("cc") is not None)


def test_without_a_compiler_a_wheel_is_pure_python(tmp_path: Path) -> None:
    wheel = _build(tmp_path, CC="/bin/false")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]


def test_an_installed_wheel_runs_beside_namesakes(
    wheel: Path, elsewhere: Path, tmp_path: Path
) -> None:
    target = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(target)
    environment = os.environ | {"PYTHONPATH": str(target)}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-P", *arguments]
        done = subprocess.run(
            command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("-c", _IMPORTS).startswith(str(target))
    assert re.search(r"\d+\.\d+", run("-m", "onionskin.service", "--version"))


def test_two_workers_serve_beside_namesakes(elsewhere: Path) -> None:
    with running_many(elsewhere / "data", 2) as service, service.client() as client:
        assert client.get("/readyz").status_code == 200
