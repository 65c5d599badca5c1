"""A test run that is killed leaves no process behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import repository
from tests.polling import until
from tests.support.reaper import MARK, left_over

_RUN = """
import os, pytest
from tests.conftest import repository

async def test_a_run_that_waits_to_be_killed(redis_url, tmp_path):
    from tests.services import running_service
    with running_service(tmp_path / "data", ONIONSKIN_MODEL="offline") as service:
        from pathlib import Path
        Path(os.environ["READY"]).write_text(service.url)
        while True:
            import time
            time.sleep(1)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    """The whole process group gets the signal, as from a CI system or a closed terminal."""
    test, ready, temporary = tmp_path / "test_run.py", tmp_path / "ready", tmp_path / "temporary"
    test.write_text(_RUN)
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "--basetemp", str(temporary)]
    options += ["-c", str(repository() / "pyproject.toml"), str(test)]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *options],
        cwd=repository(),
        env=os.environ | {"READY": str(ready)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as run:
        until(ready.exists)
        started = set(left_over("", str(temporary)))
        assert len(started) >= 2  # the service's Redis and that of the tests
        os.killpg(run.pid, number)
        run.wait(60)
    until(lambda: not set(left_over("", str(temporary))))
    assert MARK in os.environ
