"""`onionskin bench trace`: how much code a chat turn runs through."""

import json

from onionskin.service.cli.exit_codes import ExitCode
from tests.services import environment, run_command

MOST_FILES = 86
MOST_FUNCTIONS = 360


def test_a_turn_runs_through_few_files_and_functions() -> None:
    """Lower the limits after a change that removes calls; do not raise them lightly."""
    done = run_command(("bench", "trace", "--json"), environment=environment())
    assert done.returncode == ExitCode.OK, done.stderr
    figures = json.loads(done.stdout)
    assert 0 < figures["files"] <= MOST_FILES
    assert 0 < figures["functions"] <= MOST_FUNCTIONS
    assert figures["calls"] == figures["entries"] + figures["resumptions"]
    assert figures["entries_by_file"]["chains/conversation.py"] > 0
