"""The rules of the house, checked on the source."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import repository

_PACKAGES = ("memory", "chains", "service", "client")
_UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "yaml"}
_LOADERS = {"langchain_core.load", "langchain.load", "langchain_classic", "langchain_community"}
_ADAPTERS = {
    "classic_memories.py": ("langchain_classic.memory",),  # they live in the process
    "classic_memory.py": ("langchain_classic.base_memory",),  # an interface
    "faiss_folder.py": (  # they write; what is read goes through memory/langchain/safe_unpickler.py
        "langchain_community.docstore.in_memory",
        "langchain_community.vectorstores.faiss",
    ),
}
"""What of the bans may be imported where, because it loads nothing."""
_LONGEST_FILE = 250


def _sources(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders or _PACKAGES:
        for path in sorted((repository() / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text())


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_run_one_way() -> None:
    order = {"client": 0, "memory": 0, "chains": 1, "service": 2}
    for path, tree in _sources():
        own = order[path.relative_to(repository()).parts[0]]
        for name in _imports(tree):
            assert order.get(name.partition(".")[0], -1) <= own, f"{path} imports {name}"


def test_nothing_is_unpickled_and_no_langchain_loader_sees_stored_data() -> None:
    for path, tree in _sources():
        for name in _imports(tree):
            assert name.partition(".")[0] not in _UNPICKLERS, f"{path} imports {name}"
            if any(name.startswith(one) for one in _ADAPTERS.get(path.name, ())):
                continue
            assert not any(name == one or name.startswith(f"{one}.") for one in _LOADERS), (
                f"{path} imports {name}"
            )
        called = {
            node.func.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        assert not called & {"allow_dangerous_deserialization", "load_local", "read_index"}


def test_redis_commands_are_issued_in_the_store_alone() -> None:
    for path, tree in _sources():
        if (repository() / "memory" / "store") not in path.parents:
            names = {name.partition(".")[0] for name in _imports(tree)}
            assert "redis" not in names, f"{path} imports redis"


def test_opentelemetry_is_reached_from_one_room_alone() -> None:
    for path, tree in _sources():
        if (repository() / "service" / "tracing") not in path.parents:
            names = {name.partition(".")[0] for name in _imports(tree)}
            assert "opentelemetry" not in names, f"{path} imports opentelemetry"


def test_keys_are_never_listed_with_keys() -> None:
    for path in (repository() / "memory" / "store").iterdir():
        if path.suffix in {".py", ".lua"}:
            source = path.read_text()
            assert not re.search(r"call\('KEYS'|\.keys\([\"']", source), path


def test_every_public_name_has_a_docstring() -> None:
    for path, tree in _sources():
        assert ast.get_docstring(tree), path
        for node in tree.body:
            public = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if public and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}: {node.name}"


def test_what_a_package_exports_is_there() -> None:
    for path, tree in _sources():
        if path.name != "__init__.py":
            continue
        bound = {name.rpartition(".")[2] for name in _imports(tree)}
        for node in tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                assert set(ast.literal_eval(node.value)) <= bound, path


def test_files_hold_one_idea() -> None:
    for path, _ in _sources(*_PACKAGES, "tests", "scripts", "benchmarks"):
        lines = len(path.read_text().splitlines())
        assert lines <= _LONGEST_FILE, f"{path} has {lines} lines"


_MODULES = (
    *(
        "onionskin.service.app",
        "onionskin.chains.conversation",
        "onionskin.memory.combined",
        "client",
        "onionskin.chains.agent_middleware",
    ),
    *(
        f"onionskin.memory.langchain.{name}"
        for name in ("checkpointer", "langgraph_store", "vectorstore", "faiss_files")
    ),
)


@pytest.mark.parametrize("module", _MODULES)
def test_nothing_deprecated_is_imported(module: str) -> None:
    command = [sys.executable, "-W", "error::DeprecationWarning", "-c", f"import {module}"]
    done = subprocess.run(command, cwd=repository(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_locks_pin_with_hashes_and_name_no_registry() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (repository() / name).read_text()
        assert "://" not in text
        assert "--index-url" not in text
        pinned = re.findall(r"^([A-Za-z0-9._-]+(?:\[[^\]]+\])?)==", text, re.MULTILINE)
        assert len(pinned) > 50
        assert text.count("--hash=sha256:") >= len(pinned)
