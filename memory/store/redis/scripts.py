"""The Lua scripts of the store."""

import hashlib
from functools import cached_property
from pathlib import Path

_SCRIPTS = Path(__file__).parents[1] / "lua"


class Script:
    """A Lua script of the folder `lua`; several files are put one behind the other.

    Args:
        names: of the files.
        lasts: whether what it writes is acknowledged to a client, and so has to last.
    """

    def __init__(self, *names: str, durable: bool = False) -> None:
        self.durable = durable
        self.source = "\n".join((_SCRIPTS / f"{name}.lua").read_text() for name in names)

    @cached_property
    def sha(self) -> str:
        """Its name on the server."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    @cached_property
    def keyed(self) -> "Script":
        """The script as it runs on sealed values, told which data key the worker holds."""
        script = Script("keyed", durable=self.durable)
        script.source = f"local function body()\n{self.source}\nend\n{script.source}"
        return script
