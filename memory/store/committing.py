"""A commit: messages as `commit.lua` takes them, sealed for the positions that they will have."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from memory.errors import (
    ImportConflictError,
    OvertakenError,
    SessionClosedError,
    UnknownSessionError,
)
from memory.store.keyring import Argument, Keyring
from memory.store.packing import sealed_messages
from memory.store.scripts import Script
from memory.store.sealing import Cipher
from memory.types import Committed, Entry, ImportStep, Message, Session, User, Vector

COMMIT = Script("weigh", "commit", lasts=True)
_IMPORT_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Commit:
    """A turn, or a batch of an import.

    Attributes:
        create: whether the session may be created, as the script has it.
        nonce, nonce_seconds: under it the commit is stored once, for so long.
        trace, trace_seconds: what the prompt showed, and for how long that is kept.
        new_epoch: for a user who begins.
    """

    session: Session
    messages: Sequence[tuple[Message, Vector | None]]
    create: str
    step: ImportStep | None
    hold: str
    nonce: str
    nonce_seconds: int
    trace: bytes
    trace_seconds: int
    embedder_tag: str
    log_length: int
    new_epoch: str = field(default_factory=lambda: secrets.token_hex(8))

    async def run(self, keyring: Keyring, user: User) -> Committed:
        """Store it; raises as `RedisStore.commit`.

        What is sealed opens only where it was sealed to stand: where another turn was faster, it
        is sealed anew for the place behind that one.
        """
        first = self.session.length
        while True:
            reply = await keyring.write(user, COMMIT, partial(self._values, first))
            if reply[0] != b"moved":
                return self._committed(reply)
            first = reply[1]

    def _committed(self, reply: Sequence[Any]) -> Committed:
        match reply[0]:
            case b"unknown":
                raise UnknownSessionError(self.session.id)
            case b"closed":
                raise SessionClosedError(self.session.id)
            case b"overtaken":
                raise OvertakenError
            case b"conflict":
                raise ImportConflictError(
                    f"{reply[1]} lines of this import are stored, not as many as this one "
                    "counted: it runs twice. Wait for the other, then start again to resume."
                )
            case _:
                return Committed(reply[3].decode(), reply[1], reply[2], reply[4])

    def _values(self, first: int, cipher: Cipher) -> Sequence[Argument]:
        session, step = self.session, self.step
        said = sealed_messages(
            cipher, session.id, first, self.messages, embedder_tag=self.embedder_tag
        )
        return (
            session.id,
            self.create,
            self.nonce,
            self.nonce_seconds,
            self.messages[0][0].at,
            max(message.at for message, _ in self.messages),
            session.profile,
            cipher.seal(f"session:{session.id}:title", session.title),
            " ".join(session.follows),
            self.new_epoch,
            self.log_length,
            step.import_id if step else "",
            step.lines_before if step else 0,
            step.lines_after if step else 0,
            _IMPORT_SECONDS,
            self.hold,
            cipher.seal(f"shown:{session.id}.{first}", self.trace),
            self.trace_seconds,
            first if cipher.binds else "",
            *said,
        )


def stored_entries(
    committed: Committed, messages: Sequence[tuple[Message, Vector | None]]
) -> tuple[Entry, ...]:
    """Messages with their `(dim,)` vectors as they were stored by a commit."""
    return tuple(
        Entry(
            committed.session_id, place, message, None if vector is None else vector.astype("<f2")
        )
        for place, (message, vector) in enumerate(messages, committed.position)
    )
