"""Layered memory for chat: the transcript in Redis, its indexes, and the layers over them."""

import os
from importlib import import_module
from typing import TYPE_CHECKING

# The products of one turn are too small for BLAS to use threads: they would spin beside the event
# loop for longer than a product takes. The variable is read once, when numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if TYPE_CHECKING:
    from onionskin.memory.combined import CombinedMemory
    from onionskin.memory.profiles import Profile
    from onionskin.memory.types.messages import Message, Session, User
    from onionskin.memory.types.records import Record
else:
    _MODULES = {
        "CombinedMemory": "combined",
        "Message": "types.messages",
        "Profile": "profiles",
        "Record": "types.records",
        "Session": "types.messages",
        "User": "types.messages",
    }

    def __getattr__(name: str) -> object:
        """Import an exported name on first use, so that importing a submodule stays cheap."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


__all__ = [
    "CombinedMemory",
    "Message",
    "Profile",
    "Record",
    "Session",
    "User",
]
