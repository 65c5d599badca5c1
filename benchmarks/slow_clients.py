"""Measures whether clients that send their requests slowly delay the turns of others.

    .venv/bin/python -m onionskin.benchmarks.slow_clients --slow 1000

Measures turns of one ordinary client, in alternating rounds with and without slow connections. The
slow clients run in a process of their own. Each sends a byte of its request a second, and
reconnects when the service closes its connection.
"""

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from rich.progress import track

from tests.services import running_service

_HEAD = b"POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-Slow: "
_SETTLE_SECONDS = 3.0


def main() -> None:
    """Measure, and print a line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--slow", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--turns", type=int, default=300)
    parser.add_argument("--send-slowly", metavar="HOST:PORT", help="run the slow clients")
    options = parser.parse_args()
    if options.send_slowly:
        asyncio.run(_send_slowly(options.send_slowly, options.slow))
    else:
        _measure(options.slow, options.rounds, options.turns)


def _measure(slow: int, rounds: int, turns: int) -> None:
    alone: list[float] = []
    disturbed: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(Path(folder), ONIONSKIN_MODEL="offline") as service,
        service.client() as client,
    ):
        _turns(client, turns)
        for round_number in track(range(rounds), description="rounds"):
            if round_number % 2 == 0:
                alone += _turns(client, turns)
                continue
            address = service.url.removeprefix("http://")
            command = [
                sys.executable,
                "-m",
                "onionskin.benchmarks.slow_clients",
                "--send-slowly",
                address,
            ]
            with subprocess.Popen([*command, "--slow", str(slow)]) as slow_clients:
                time.sleep(_SETTLE_SECONDS)
                disturbed += _turns(client, turns)
                slow_clients.terminate()
    (p50, p99), (slow_p50, slow_p99) = _percentiles(alone), _percentiles(disturbed)
    print(
        f"{slow} slow connections, {len(disturbed)} turns each: p50 {p50:.2f} ms alone, "
        f"{slow_p50:.2f} ms disturbed, ratio {slow_p50 / p50:.2f}; p99 {p99:.2f} ms, "
        f"{slow_p99:.2f} ms, ratio {slow_p99 / p99:.2f}"
    )


def _turns(client: httpx.Client, count: int) -> list[float]:
    durations: list[float] = []
    for number in range(count):
        body = {"user_id": f"user {number % 20}", "message": f"This is remark {number}."}
        began = time.perf_counter()
        client.post("/v1/chat", json=body).raise_for_status()
        durations.append((time.perf_counter() - began) * 1e3)
    return durations


def _percentiles(durations: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(durations, n=100)
    return statistics.median(durations), cuts[98]


async def _send_slowly(address: str, count: int) -> None:
    host, _, port = address.partition(":")
    await asyncio.gather(
        *(_slow_client(host, int(port), number / count) for number in range(count))
    )


async def _slow_client(host: str, port: int, delay: float) -> None:
    await asyncio.sleep(delay)
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(_HEAD)
                while not writer.is_closing():
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(1.0)
            finally:
                writer.transport.abort()
        await asyncio.sleep(1.0)


if __name__ == "__main__":
    main()
