"""Do clients that dribble their requests in slow the others?

    .venv/bin/python -m onionskin.benchmarks.slow_clients --slow 1000

Turns of one ordinary client, in stretches with and without so many slow connections, alternating
in one run. The slow ones live in a process of their own; each sends a byte of its head a second,
and comes again when it is turned out.
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
    """Run, and print a line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--slow", type=int, default=1000)
    parser.add_argument("--stretches", type=int, default=6)
    parser.add_argument("--turns", type=int, default=300)
    parser.add_argument("--dribble", metavar="HOST:PORT", help="be the slow clients")
    options = parser.parse_args()
    if options.dribble:
        asyncio.run(_dribble(options.dribble, options.slow))
    else:
        _measure(options.slow, options.stretches, options.turns)


def _measure(slow: int, stretches: int, turns: int) -> None:
    alone: list[float] = []
    beset: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(Path(folder), ONIONSKIN_MODEL="offline") as service,
        service.client() as client,
    ):
        _turns(client, turns)
        for stretch in track(range(stretches), description="stretches"):
            if stretch % 2 == 0:
                alone += _turns(client, turns)
                continue
            address = service.url.removeprefix("http://")
            command = [
                sys.executable,
                "-m",
                "onionskin.benchmarks.slow_clients",
                "--dribble",
                address,
            ]
            with subprocess.Popen([*command, "--slow", str(slow)]) as others:
                time.sleep(_SETTLE_SECONDS)
                beset += _turns(client, turns)
                others.terminate()
    (p50, p99), (slow_p50, slow_p99) = _percentiles(alone), _percentiles(beset)
    print(
        f"{slow} slow connections, {len(beset)} turns of each: p50 {p50:.2f} ms alone, "
        f"{slow_p50:.2f} ms beset, ratio {slow_p50 / p50:.2f}; p99 {p99:.2f} ms, "
        f"{slow_p99:.2f} ms, ratio {slow_p99 / p99:.2f}"
    )


def _turns(client: httpx.Client, count: int) -> list[float]:
    took: list[float] = []
    for number in range(count):
        body = {"user_id": f"user {number % 20}", "message": f"This is remark {number}."}
        began = time.perf_counter()
        client.post("/v1/chat", json=body).raise_for_status()
        took.append((time.perf_counter() - began) * 1e3)
    return took


def _percentiles(took: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(took, n=100)
    return statistics.median(took), cuts[98]


async def _dribble(address: str, count: int) -> None:
    host, _, port = address.partition(":")
    await asyncio.gather(*(_one(host, int(port), number / count) for number in range(count)))


async def _one(host: str, port: int, delay: float) -> None:
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
