"""Without an exporter or without the extra there are no traces, and nothing is paid for them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import repository
from tests.service.observability.otlp_collector import collecting
from tests.services import environment, running_service

_OPEN = """
import asyncio, sys
{before}
from onionskin.service.settings import load_settings
from onionskin.service.container import open_state
async def main():
    async with open_state(load_settings()) as state:
        print(state.tracing)
        print(sorted(name for name in sys.modules if f"{{name}}.".startswith({own})))
asyncio.run(main())
"""
_OWN = (
    "opentelemetry.exporter.",
    "opentelemetry.sdk.trace.export.",
    "onionskin.service.observability.tracing.",
)
_MISSING = "sys.modules['opentelemetry.sdk.trace'] = None"
_HERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


def _open(folder: Path, before: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Open what the service is made of, in a process of its own."""
    settings = {"ONIONSKIN_DATA_DIR": str(folder), "ONIONSKIN_MODEL": "offline", **settings}
    return subprocess.run(
        [sys.executable, "-c", _OPEN.format(before=before, own=_OWN)],
        cwd=repository(),
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {**_HERE, "ONIONSKIN_OTEL": "off"},
        {**_HERE, "OTEL_SDK_DISABLED": "true"},
        {**_HERE, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_no_exporter_is_loaded_where_no_traces_are_wanted(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    done = _open(tmp_path, **settings)
    assert (done.returncode, done.stdout) == (0, "None\n[]\n"), done.stderr


def test_without_the_extra_it_starts_and_says_so(tmp_path: Path) -> None:
    done = _open(tmp_path, _MISSING, **_HERE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("None\n")
    assert "traces are not exported" in done.stderr
    insisted = _open(tmp_path, _MISSING, ONIONSKIN_OTEL="on")
    assert insisted.returncode == 1
    assert "pip install 'onionskin[otel]'" in insisted.stderr


def test_a_protocol_that_is_not_spoken_is_named(tmp_path: Path) -> None:
    grpc = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "ONIONSKIN_OTEL": "on"}
    done = _open(tmp_path, **_HERE, **grpc)
    assert done.returncode == 1
    assert "ConfigurationError: Traces are exported as http/protobuf" in done.stderr


def test_a_collector_that_is_away_harms_nobody(tmp_path: Path) -> None:
    settings = {**_HERE, "ONIONSKIN_MODEL": "offline", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    with running_service(tmp_path, **settings) as service, service.client() as client:
        body = {"user_id": "a", "message": "Hello."}
        for _ in range(3):
            client.post("/v1/chat", json=body).raise_for_status()
    assert service.process.returncode == 0


def test_what_the_caller_does_not_sample_is_not_exported(tmp_path: Path) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
    with collecting() as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "ONIONSKIN_MODEL": "offline"}
        with running_service(tmp_path, **settings) as service, service.client() as client:
            for sampled in ("00", "01"):
                body = {"user_id": "a", "message": "Hello."}
                header = {"traceparent": f"{trace}-{sampled}"}
                client.post("/v1/chat", json=body, headers=header).raise_for_status()
    assert len(collector.named("POST /v1/chat")) == 1
    assert collector.paths == {"/v1/traces"}
