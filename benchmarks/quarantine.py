"""How much the quarantine holds: of the attacks of the test suite, and of ordinary messages.

    .venv/bin/python -m onionskin.benchmarks.quarantine [FILE ...]

Ordinary are our own assistant chats, LoCoMo's conversations where they are there, and the `content`
of each line of the JSONL files named. What is held wrongly is printed, so that it can be looked at.
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
    """Judge every text, and print a table."""
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
    table = Table("texts", "judged", "held", "share")
    console = Console()
    for name, found in texts.items():
        held = [text for text in found if is_suspicious(text)]
        table.add_row(name, str(len(found)), str(len(held)), f"{len(held) / len(found):.1%}")
        if name != "attacks of the test suite":
            for text in held:
                console.print(f"{name}: {text[:200]!r}", markup=False)
    console.print(table)


def _contents(lines: bytes) -> Iterator[str]:
    for line in lines.splitlines():
        content = json.loads(line).get("content") if line.strip() else None
        if isinstance(content, str):
            yield content


if __name__ == "__main__":
    main()
