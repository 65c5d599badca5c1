"""Lua scripts: read from the folder `lua`, or written as a string beside their caller."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

_FOLDER = Path(__file__).parents[1] / "lua"


class Script:
    """A Lua script, made of one or several files of the folder `lua`.

    Args:
        names: The files without their suffix; their texts are joined in this order.
        durable: Whether the write is acknowledged to a client, and therefore waits for replicas.
    """

    def __init__(self, *names: str, durable: bool = False) -> None:
        self.durable = durable
        self.source = "\n".join((_FOLDER / f"{name}.lua").read_text() for name in names)

    @classmethod
    def inline(cls, source: str, *, requires: Sequence[str] = (), durable: bool = False) -> Self:
        """A script whose text is written in Python; the files that it requires precede it."""
        script = cls(*requires, durable=durable)
        script.source = f"{script.source}\n{source}" if requires else source
        return script

    @cached_property
    def sha(self) -> str:
        """The SHA-1 of the text, by which the server caches the script."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    @cached_property
    def with_key_check(self) -> "Script":
        """The script for encrypted values: it checks the name of the worker's data key first."""
        script = Script("with_key_check", durable=self.durable)
        script.source = f"local function body()\n{self.source}\nend\n{script.source}"
        return script
