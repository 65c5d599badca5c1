"""How much of an upload is stored, by the digests of its lines, so that no line is lost."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from onionskin.memory.errors import ImportConflictError
from onionskin.memory.store import RedisStore, StoredUploads
from onionskin.memory.types.messages import ImportStep, User

DIGEST_BYTES = 8


class UploadProgress:
    """The progress of one upload under an import id.

    An upload that begins with the first line of an earlier one repeats it: what is stored is
    skipped, and further lines follow. Any other upload continues the import with new lines.

    Args:
        store: Holds the digests of the stored lines.
        user: The user who imports.
        import_id: Id of the import.
        stored: What is stored under the id.
    """

    def __init__(
        self, store: RedisStore, user: User, import_id: str, stored: StoredUploads
    ) -> None:
        self._store, self._user, self._import_id = store, user, import_id
        self._stored = stored
        self._base = self._end = 0
        self._digests: list[bytes] = []

    @classmethod
    async def open(cls, store: RedisStore, user: User, import_id: str) -> "UploadProgress":
        """The progress of an upload that begins."""
        uploads = await store.transfer.stored_uploads(user, import_id)
        return cls(store, user, import_id, uploads)

    @property
    def resumed_after(self) -> int:
        """Lines of this upload that earlier attempts stored."""
        return self._end - self._base

    def is_stored(self, number: int, raw: bytes) -> bool:
        """Whether a line is stored already; to be called once for each line, in order.

        Raises:
            ImportConflictError: The upload differs from the one that it repeats.
        """
        digest = digest_of(raw)
        if number == 1:
            self._base, self._end = self._stored.range_of(digest)
        if number > self.resumed_after:
            if self._end < self._stored.lines:
                raise ImportConflictError(
                    f"Line {number} follows an upload that another one under import_id "
                    f"{self._import_id!r} has continued. Send the new lines alone, or under a new "
                    "import_id."
                )
            self._digests.append(digest)
            return False
        stored = self._stored.digest(self._base + number - 1)
        if stored and stored != digest:
            raise ImportConflictError(
                f"Line {number} differs from the one that is stored under import_id "
                f"{self._import_id!r}. Send lines that changed under a new import_id."
            )
        return True

    @asynccontextmanager
    async def step(self, lines_before: int, lines_after: int) -> AsyncGenerator[ImportStep]:
        """The step of a batch that is stored inside; notes the digests of its lines.

        They are noted before, so that a batch is known even if this process dies after storing it,
        and again afterwards, since another upload may have noted its own in between.

        Args:
            lines_before: Lines of this upload that are stored before the batch.
            lines_after: Lines of this upload that are stored with it.

        Raises:
            ImportConflictError: Another upload under the import id is running.
        """
        count = lines_after - lines_before
        digests, self._digests = self._digests[:count], self._digests[count:]
        step = ImportStep(self._import_id, self._base + lines_before, self._base + lines_after)
        note, base = self._store.transfer.note_lines, self._base
        if not await note(self._user, step, digests, base=base, stored=step.lines_before):
            raise ImportConflictError(
                "Another import with this id is running. Wait for it, then send all lines again."
            )
        yield step
        await note(self._user, step, digests, base=base, stored=step.lines_after)


def digest_of(raw: bytes) -> bytes:
    """The digest of a line; line ends and surrounding space do not count."""
    return hashlib.sha256(raw.strip()).digest()[:DIGEST_BYTES]
