"""Measures how many messages are quarantined: of the test suite's attacks, and of ordinary ones.

    .venv/bin/python -m onionskin.benchmarks.quarantine [FILE ...]

Ordinary messages are those of our assistant chats, of LoCoMo if it is available, and the `content`
of each line of the given JSONL files. Ordinary messages that are quarantined are printed.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from onionskin.memory.quarantine import is_suspicious
from tests.attacks import payloads
from tests.conftest import repository
from tests.locomo import load_locomo, locomo_file


def main() -> None:
    """Check every text, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    files: list[Path] = parser.parse_args().files
    texts = {"attacks of the test suite": list(payloads())}
    if locomo_file().exists():
        texts["LoCoMo, for development"] = [
            text
            for conversation in load_locomo(locomo_file())
            for text in _contents(conversation.lines)
        ]
    for file in [*sorted((repository() / "experiments/data").glob("*.jsonl")), *files]:
        texts[file.stem] = list(_contents(file.read_bytes()))
    table = Table("texts", "checked", "quarantined", "share")
    console = Console()
    for name, messages in texts.items():
        quarantined = [text for text in messages if is_suspicious(text)]
        table.add_row(
            name,
            str(len(messages)),
            str(len(quarantined)),
            f"{len(quarantined) / len(messages):.1%}",
        )
        if name != "attacks of the test suite":
            for text in quarantined:
                console.print(f"{name}: {text[:200]!r}", markup=False)
    console.print(table)


def _contents(lines: bytes) -> Iterator[str]:
    for line in lines.splitlines():
        content = json.loads(line).get("content") if line.strip() else None
        if isinstance(content, str):
            yield content


if __name__ == "__main__":
    main()
