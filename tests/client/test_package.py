"""The client package: the synchronous client is generated, and importing it stays cheap."""

import importlib.util
import json
import subprocess
import sys

from tests.conftest import repository

_SCRIPT = repository() / "scripts" / "generate_sync_client.py"
_HEAVY = {"faiss", "langchain", "langchain_core", "numpy", "redis", "fastapi", "pydantic"}


def test_the_synchronous_client_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_generator_removes_everything_asynchronous() -> None:
    spec = importlib.util.spec_from_file_location("generate_sync_client", _SCRIPT)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    source = '''
class OnionskinClient:
    """Use `async with OnionskinClient()`."""

    async def read(self) -> bytes:  # keeps comments
        async with self.open() as response:
            return b"".join([piece async for piece in response.aiter_bytes()])
'''
    assert '''
class SyncOnionskinClient:
    """Use `with SyncOnionskinClient()`."""

    def read(self) -> bytes:  # keeps comments
        with self.open() as response:
            return b"".join([piece for piece in response.iter_bytes()])
''' in script.generate(source)


def test_importing_the_client_loads_nothing_of_the_service() -> None:
    code = "import json, sys, onionskin.client; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository() / "src",
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(json.loads(done.stdout))
    assert "onionskin.client.async_client" in modules
    assert not {name.partition(".")[0] for name in modules} & _HEAVY
    assert not [name for name in modules if name.startswith(("onionskin.memory", "onionskin.s"))]
