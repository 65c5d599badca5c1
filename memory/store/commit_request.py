"""A commit: the arguments of the script `commit_turn`, encrypted for the positions they get."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from onionskin.memory.errors import (
    ImportConflictError,
    SessionClosedError,
    SupersededError,
    UnknownSessionError,
)
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument, Keyring
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.script_io import encrypted_messages
from onionskin.memory.types.messages import (
    Committed,
    Entry,
    ImportStep,
    Message,
    Session,
    User,
    Vector,
)

COMMIT_TURN = Script("byte_count", "branches", "commit_turn", durable=True)
_IMPORT_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """The arguments of the script `commit_turn`: a turn, or a batch of an import.

    Attributes:
        create: Whether the session may be created: '0', '1', or the user's epoch.
        nonce, nonce_seconds: The commit is stored once per nonce, for this time.
        keeps_nonce: A commit under the nonce before prevents this one; this one prevents none.
        replaces_from: The live messages from this position on are abandoned; None for none.
        turn_position: Position of the turn's first message; None if the commit begins the turn.
        trace, trace_seconds: The prompt trace, and how long it is kept.
        new_epoch: The epoch for a new user.
    """

    session: Session
    messages: Sequence[tuple[Message, Vector | None]]
    create: str
    step: ImportStep | None
    lock_token: str
    nonce: str
    nonce_seconds: int
    trace: bytes
    trace_seconds: int
    embedder_tag: str
    log_length: int
    keeps_nonce: bool = False
    replaces_from: int | None = None
    turn_position: int | None = None
    new_epoch: str = field(default_factory=lambda: secrets.token_hex(8))

    async def execute(self, keyring: Keyring, user: User) -> Committed:
        """Commit; raises as `Transcripts.commit`.

        Encrypted values decrypt only at their own position. If another turn was faster, they are
        encrypted again for the position after it.
        """
        first = self.session.length
        while True:
            reply = await keyring.run_write(user, COMMIT_TURN, partial(self._values, first))
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
                raise SupersededError
            case b"conflict":
                raise ImportConflictError(
                    f"{reply[1]} lines of this import are stored, not as many as this one "
                    "counted: it runs twice. Wait for the other, then start again to resume."
                )
            case _:
                _, first, length, session_id, sequence, turn = reply
                turn_position = None if turn == first else turn
                return Committed(session_id.decode(), first, length, sequence, turn_position)

    def _values(self, first: int, cipher: Cipher) -> Sequence[Argument]:
        session, step = self.session, self.step
        turn = first if self.turn_position is None else self.turn_position
        messages = encrypted_messages(
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
            cipher.encrypt(f"session:{session.id}:title", session.title),
            " ".join(session.continued_from),
            self.new_epoch,
            self.log_length,
            step.import_id if step else "",
            step.lines_before if step else 0,
            step.lines_after if step else 0,
            _IMPORT_SECONDS,
            self.lock_token,
            cipher.encrypt(f"shown:{session.id}.{turn}", self.trace),
            self.trace_seconds,
            first if cipher.binds else "",
            "" if self.replaces_from is None else self.replaces_from,
            "" if self.turn_position is None else self.turn_position,
            int(self.keeps_nonce),
            *messages,
        )


def entries_of(
    committed: Committed, messages: Sequence[tuple[Message, Vector | None]]
) -> tuple[Entry, ...]:
    """The entries that a commit stored: messages with their `(dim,)` vectors."""
    return tuple(
        Entry(
            committed.session_id,
            position,
            message,
            None if vector is None else vector.astype("<f2"),
        )
        for position, (message, vector) in enumerate(messages, committed.position)
    )
