"""What the service does, on a cluster and before Sentinels: tests of other modules, again there.

Every write waits for a replica (`ONIONSKIN_DURABILITY`), and what is stored is encrypted.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from onionskin.memory.store.encryption.master_keys import generate_master_key
from tests.openai_server import OpenAIServer
from tests.service.chat.test_routes import (
    test_a_turn_is_answered_with_all_that_the_api_promises,
    test_the_session_is_folded_after_the_answer,
    test_what_was_said_long_ago_is_recalled_with_its_reasons,
)
from tests.service.conftest import Backend, running_backend
from tests.service.file_search import found_in_files
from tests.service.memories.test_routes import (
    test_a_search_explains_its_hits,
    test_preferences_and_pins_are_in_every_prompt,
    test_what_is_kept_can_be_read_changed_and_deleted,
)
from tests.service.sessions.test_fork import test_a_fork_goes_on_by_itself
from tests.service.sessions.test_routes import test_a_deleted_session_is_gone_from_everything
from tests.service.sessions.test_turns import (
    test_closing_folds_what_is_left,
    test_title_and_metadata_can_be_changed,
)
from tests.service.test_idempotency import (
    test_a_request_that_failed_may_be_tried_again,
    test_the_same_request_is_answered_the_same_by_one_model_call,
)
from tests.service.users.test_import import test_an_import_that_was_cut_off_goes_on
from tests.service.users.test_routes import test_an_export_moves_a_user
from tests.topologies.cluster import Cluster, running_cluster
from tests.topologies.sentinel import Watched, running_sentinels

__all__ = [
    "test_a_deleted_session_is_gone_from_everything",
    "test_a_fork_goes_on_by_itself",
    "test_a_request_that_failed_may_be_tried_again",
    "test_a_search_explains_its_hits",
    "test_a_turn_is_answered_with_all_that_the_api_promises",
    "test_an_export_moves_a_user",
    "test_an_import_that_was_cut_off_goes_on",
    "test_closing_folds_what_is_left",
    "test_preferences_and_pins_are_in_every_prompt",
    "test_the_same_request_is_answered_the_same_by_one_model_call",
    "test_the_session_is_folded_after_the_answer",
    "test_title_and_metadata_can_be_changed",
    "test_what_is_kept_can_be_read_changed_and_deleted",
    "test_what_was_said_long_ago_is_recalled_with_its_reasons",
]
_RUN: dict[str, Callable[[Path], AbstractAsyncContextManager[Cluster | Watched]]] = {
    "cluster": running_cluster,
    "sentinel": running_sentinels,
}
_KEYS = generate_master_key("k1")
_WITHIN_SECONDS = 60.0


@pytest.fixture(scope="module", params=list(_RUN))
def topology(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster | Watched]:
    folder = tmp_path_factory.mktemp(request.param)
    with asyncio.Runner() as runner:
        context = _RUN[request.param](folder)
        yield runner.run(context.__aenter__())
        runner.run(context.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def backend(
    topology: Cluster | Watched, model: OpenAIServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    settings = {
        "ONIONSKIN_REDIS_URL": topology.url,
        "ONIONSKIN_DURABILITY": "replicas:1",
        "ONIONSKIN_ENCRYPTION_KEYS": _KEYS,
        "ONIONSKIN_RATE_USER": "10000/minute",
    }
    with running_backend(model, tmp_path_factory.mktemp("onionskin"), **settings) as found:
        yield found


def test_an_erased_user_is_in_no_file_of_a_primary_after_a_minute(
    backend: Backend, topology: Cluster | Watched
) -> None:
    backend.say("canary-user", "Hello.").raise_for_status()
    folders = [node.folder for node in topology.begun]
    assert any(found_in_files(folder, "canary-user") for folder in folders)
    backend.client.delete("/v1/users/canary-user").raise_for_status()
    deadline = time.monotonic() + _WITHIN_SECONDS
    while left := [one for folder in folders for one in found_in_files(folder, "canary-user")]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def test_an_expired_session_is_deleted(
    topology: Cluster | Watched, model: OpenAIServer, tmp_path: Path
) -> None:
    settings = {
        "ONIONSKIN_REDIS_URL": topology.url,
        "ONIONSKIN_ENCRYPTION_KEYS": _KEYS,
        "ONIONSKIN_RETAIN_SESSIONS": "1",
    }
    with running_backend(model, tmp_path, **settings) as backend:
        backend.say("retained", "Hello.").raise_for_status()
        deadline = time.monotonic() + _WITHIN_SECONDS
        while backend.sessions("retained"):
            assert time.monotonic() < deadline
