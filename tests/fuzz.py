"""Schemathesis over the whole OpenAPI description, against a running service that asks for keys.

    .venv/bin/python -m tests.fuzz [--examples 200] [--seconds 600]

No answer may be a 5xx, of an undocumented status, type or shape. Ends with 1 if one is.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.services import environment, run_command, running_service

_CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,ignored_auth"
)


def fuzz(examples: int, seconds: int) -> int:
    """Run it; the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"ONIONSKIN_AUTH": "keys", "ONIONSKIN_MODEL": "offline"}
        with running_service(Path(folder), **settings) as service:
            made = run_command(
                ["keys", "create", "--json"],
                environment=environment(ONIONSKIN_DATA_DIR=folder),
                check=True,
            )
            key = json.loads(made.stdout)["key"]
            # One thread: in CPython 3.11 two that read code as a tree at once break each other (a
            # SystemError in what generates the cases), and two find no more cases than one.
            command = [
                *(str(Path(sys.executable).with_name("schemathesis")), "run"),
                f"{service.url}/openapi.json",
                *("--header", f"Authorization: Bearer {key}"),
                *("--checks", _CHECKS),
                *("--max-examples", str(examples)),
                *("--max-time", str(seconds)),
                *("--request-timeout", "20", "--continue-on-failure", "--workers", "1"),
                *("--suppress-health-check", "all", "--warnings", "off"),
            ]
            hooks = {"SCHEMATHESIS_HOOKS": "tests.fuzz_hooks"}
            return subprocess.run(command, check=False, env=environment(**hooks)).returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--examples", type=int, default=200, help="for each operation and phase")
    parser.add_argument("--seconds", type=int, default=600, help="the most time")
    options = parser.parse_args()
    raise SystemExit(fuzz(options.examples, options.seconds))
