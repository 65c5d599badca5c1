"""The rules of the house, checked on the source."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import repository

_PRODUCT = ("memory", "chains", "service", "client")
_PACKAGES = (*_PRODUCT, "experiments", "benchmarks")
_UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "yaml"}
_LOADERS = {"langchain_core.load", "langchain.load", "langchain_classic", "langchain_community"}
_ADAPTERS = {
    "langchain_classic_factories.py": ("langchain_classic.memory",),  # they live in the process
    "langchain_memory.py": ("langchain_classic.base_memory",),  # an interface
    "faiss_files.py": (  # writes only; reading goes through memory/langchain/safe_unpickler.py
        "langchain_community.docstore.in_memory",
        "langchain_community.vectorstores.faiss",
    ),
}
"""Exceptions to the bans, by file: these imports load no stored data."""
_LONGEST_MODULE = 400
_SHORTEST_MODULE = 50
_SHORT_MODULES = {
    "memory/cancellation.py": "one primitive with callers in every package",
    "memory/content.py": "one primitive with callers in several packages",
    "memory/merge_patch.py": "one primitive with callers in several packages",
    "memory/tokens.py": "one primitive with callers in every package",
    "memory/langchain/checkpoint_serializer.py": "one of LangGraph's interfaces",
    "memory/langchain/embeddings.py": "one of LangChain's interfaces",
    "memory/store/branch_restoration.py": "a repository",
    "memory/store/deployment.py": "a repository",
    "memory/store/vector_database_cursors.py": "a repository",
    "memory/store/repository.py": "the base of all repositories",
    "service/observability/request_context.py": "a data type",
    "memory/store/redis/scripts.py": "a data type",
    "memory/vector_databases/qdrant.py": "one of several parallel providers",
    "service/__main__.py": "Python's own name",
    "service/mcp/stdio.py": "one of two parallel transports",
    "service/observability/pseudonyms.py": "one primitive with several callers",
    "service/streaming.py": "one primitive with two callers",
    "service/version.py": "read by the build",
}
"""Modules below the usual minimum, each with its reason."""
_PARALLEL_NAMES = {"__init__", "base", "errors", "routes", "schemas", "cli", "docs", "plots", "run"}
"""File names that several folders share, because each has the same parts."""
_NOUNS_OF_THE_FIELD = {
    *("combined", "embedded", "instrumented", "keyring", "quoting", "session_matching"),
    *("scoring", "streaming", "task_planning", "tracing", "weight_learning", "recall_speed"),
}
"""Module names that only look like participles."""


def _sources(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders or _PRODUCT:
        for path in sorted((repository() / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text())


def _relative(path: Path) -> str:
    return path.relative_to(repository()).as_posix()


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_run_one_way() -> None:
    order = {"client": 0, "memory": 0, "chains": 1, "service": 2}
    for path, tree in _sources(*order):
        own = order[path.relative_to(repository()).parts[0]]
        for name in _imports(tree):
            if name.startswith("onionskin."):
                package = name.split(".")[1]
                assert order.get(package, -1) <= own, f"{path} imports {name}"


def test_packages_are_imported_under_the_product_name() -> None:
    for path, tree in _sources(*_PACKAGES, "tests", "scripts"):
        for name in _imports(tree):
            assert name.partition(".")[0] not in _PACKAGES, f"{path} imports {name}"


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


def test_redis_is_imported_in_the_store_only() -> None:
    for path, tree in _sources():
        if (repository() / "memory" / "store") not in path.parents:
            names = {name.partition(".")[0] for name in _imports(tree)}
            assert "redis" not in names, f"{path} imports redis"


def test_opentelemetry_is_imported_in_one_folder_only() -> None:
    for path, tree in _sources():
        if (repository() / "service" / "observability") not in path.parents:
            names = {name.partition(".")[0] for name in _imports(tree)}
            assert "opentelemetry" not in names, f"{path} imports opentelemetry"


def test_keys_are_never_listed_with_keys() -> None:
    for path in (repository() / "memory" / "store").rglob("*"):
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


def test_modules_are_neither_too_long_nor_too_short() -> None:
    for path, _ in _sources(*_PACKAGES, "tests", "scripts"):
        lines = len(path.read_text().splitlines())
        assert lines <= _LONGEST_MODULE, f"{path} has {lines} lines: look for the second concept"
    for path, _ in _sources("memory", "chains", "service"):
        lines, name = len(path.read_text().splitlines()), _relative(path)
        if path.name != "__init__.py" and name not in _SHORT_MODULES:
            assert lines >= _SHORTEST_MODULE, f"{name} has {lines} lines: move it to its caller"


def test_modules_are_named_by_nouns() -> None:
    for path, _ in _sources(*_PACKAGES):
        if path.stem not in _NOUNS_OF_THE_FIELD:
            assert not re.search(r"(ing|ed)$|_(ing|ed)_", path.stem), path


def test_a_file_name_occurs_once_per_package() -> None:
    for package in ("memory", "chains", "service", "client"):
        seen: dict[str, str] = {}
        for path, _ in _sources(package):
            name = path.stem
            if name in _PARALLEL_NAMES:
                continue
            pair = {seen.setdefault(name, _relative(path)), _relative(path)}
            assert len(pair) == 1 or pair in _SAME_CONCEPT, pair


_SAME_CONCEPT = (
    {"memory/types/records.py", "memory/store/records.py"},
    {"memory/langchain/client.py", "memory/store/redis/client.py"},
)
"""A data type and its repository, or the two ends of one thing."""


def test_only_the_store_reaches_its_connection() -> None:
    inner = {"connection", "keyring", "retention"}
    for path, tree in _sources(*_PACKAGES):
        if (repository() / "memory" / "store") in path.parents:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in inner:
                owner = ast.unparse(node.value)
                assert not re.search(r"\bstore$|_store$", owner), (
                    f"{_relative(path)}:{node.lineno} reaches {owner}.{node.attr}"
                )


def test_wrappers_repeat_the_signature_that_they_wrap() -> None:
    for path, tree in _sources():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            both = node.args.vararg, node.args.kwarg
            untyped = [
                one.annotation is not None and ast.unparse(one.annotation) == "Any"
                for one in both
                if one
            ]
            is_protocol = node.body and ast.unparse(node.body[-1]) == "..."
            assert is_protocol or untyped != [True, True], f"{_relative(path)}:{node.lineno}"


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
