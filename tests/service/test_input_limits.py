"""What swells when it is read, nests without end or never ends costs an error message, no more."""

import gzip
import json
import re
from pathlib import Path

import pytest

from onionskin.memory.http_limits import LARGEST_RESPONSE_BYTES
from tests.openai_faults import Fault
from tests.service.conftest import Backend

_DEEP = 100_000
_JSON = {"Content-Type": "application/json"}
_LINES = {"Content-Type": "application/x-ndjson"}
_MOST_GROWTH_KIB = 192 << 10


def _most_memory(backend: Backend) -> int:
    """The service's peak so far, in KiB."""
    status = Path(f"/proc/{backend.service.process.pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1])


@pytest.mark.parametrize(
    "fault",
    [
        Fault(body=gzip.compress(bytes(512 << 20), 1), encoding="gzip"),
        Fault(body=b" " * (LARGEST_RESPONSE_BYTES + 1)),
    ],
    ids=["compressed", "endless"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_swells_is_not_read(backend: Backend, fault: Fault, stream: bool) -> None:
    user = f"swelling-{stream}-{fault.encoding}"
    backend.say(user, "Before.").raise_for_status()
    memory = _most_memory(backend)
    backend.model.faults.append(fault)
    assert re.search("model_(failed|timeout)", backend.say(user, "Hello.", stream=stream).text)
    assert _most_memory(backend) - memory < _MOST_GROWTH_KIB
    backend.say(user, "Again.").raise_for_status()
    before, _, unanswered, again, _ = backend.transcript(user)
    assert (before, unanswered, again) == ("Before.", "Hello.", "Again.")


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/v1/chat", _JSON),
        ("POST", "/v1/chat/completions", _JSON),
        ("POST", "/v1/users/deep/sessions", _JSON),
        ("POST", "/v1/users/deep/memories", _JSON),
        ("POST", "/v1/users/deep/import", _LINES),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"[" * _DEEP,
        b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
        b'{"message": ' + b"9" * _DEEP + b"}",
        b'{"message": 1e' + b"9" * _DEEP + b"}",
        gzip.compress(b'{"message": "' + b"x" * (64 << 20) + b'"}'),
    ],
    ids=["lists", "objects", "digits", "exponent", "compressed"],
)
def test_a_body_that_nests_or_swells_is_refused(
    backend: Backend, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    sent = headers | ({"Content-Encoding": "gzip"} if body.startswith(b"\x1f\x8b") else {})
    response = backend.client.request(method, path, content=body, headers=sent)
    assert 400 <= response.status_code < 500, response.text
    assert "error" in response.text


@pytest.mark.parametrize(
    "metadata", [{"a": "x" * 5_000}, json.loads('{"a":' * 40 + "1" + "}" * 40)]
)
def test_metadata_that_is_huge_or_deep_is_refused(backend: Backend, metadata: object) -> None:
    for path, body in (
        ("/v1/users/huge/sessions", {"metadata": metadata}),
        ("/v1/users/huge/memories", {"content": "Tea.", "metadata": metadata}),
    ):
        response = backend.client.post(path, json=body)
        assert response.status_code == 422, response.text
        assert "metadata" in response.text
