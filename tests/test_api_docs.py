"""docs/api.md: it covers every operation, and its commands run as written."""

import re
import subprocess
from pathlib import Path

from onionskin.service.app import create_app
from onionskin.service.settings import load_settings
from tests.conftest import repository
from tests.services import environment, running_service


def _page() -> str:
    return (repository() / "docs" / "api.md").read_text()


def test_every_operation_is_in_it() -> None:
    paths = create_app(load_settings()).openapi()["paths"]
    for path, operations in paths.items():
        for method in operations:
            assert f"`{method.upper()} {path}`" in _page(), (method, path)


def test_its_commands_run(tmp_path: Path) -> None:
    blocks = re.findall(r"^```bash\n(.*?)^```", _page(), re.MULTILINE | re.DOTALL)
    with running_service(tmp_path / "data", ONIONSKIN_MODEL="offline") as service:
        script = "\n".join(blocks).replace("http://127.0.0.1:8000", service.url)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 0, done.stdout[-600:] + done.stderr
    assert "Biscuit" in done.stdout
