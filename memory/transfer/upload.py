"""Uploads: conversations of other systems, and exports of Onionskin."""

from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from onionskin.memory.privacy.policy import UNREDACTED, PrivacyPolicy
from onionskin.memory.retrieval import Embedder
from onionskin.memory.store import RedisStore
from onionskin.memory.transfer.format import EXPORT_KIND
from onionskin.memory.transfer.importer import Importer, ImportReport
from onionskin.memory.transfer.restorer import Restorer
from onionskin.memory.types.messages import User
from onionskin.memory.types.tasks import EmbedTask, Task

_LONGEST_HEADER_BYTES, _QUOTA_CHECK_BYTES = 4096, 1 << 20


class _Kind(msgspec.Struct):
    kind: str


class UploadHandler:
    """Routes an upload to the importer or the restorer, depending on its first line.

    Args:
        store: Destination of the lines.
        embedder: A local one embeds at once.
        clock: Current time in Unix seconds.
        on_task: Receives the task to embed the messages, unless the embedder is local.
        privacy: Privacy policy for the lines.
        check_quota: Called during the upload; raises when the user may store no more.
    """

    def __init__(
        self,
        store: RedisStore,
        embedder: Embedder,
        *,
        clock: Callable[[], float],
        on_task: Callable[[Task], None],
        check_quota: Callable[[User], Awaitable[None]] | None = None,
        privacy: PrivacyPolicy = UNREDACTED,
    ) -> None:
        self._importer = Importer(store, embedder, clock=clock, privacy=privacy)
        self._restorer = Restorer(store, embedder, clock=clock, privacy=privacy)
        self._embeds_later, self._after, self._admit = (
            not embedder.local,
            on_task,
            check_quota or _admit,
        )

    async def run(self, user: User, import_id: str, chunks: AsyncIterator[bytes]) -> ImportReport:
        """Store all lines; see `Importer.run` and `Restorer.run`."""
        read = b""
        while b"\n" not in read.lstrip() and len(read) < _LONGEST_HEADER_BYTES:
            chunk = await anext(chunks, None)
            if chunk is None:
                break
            read += chunk
        reader = self._restorer if _is_header(read) else self._importer
        report = await reader.run(user, import_id, self._admitted(user, read, chunks))
        if self._embeds_later:
            self._after(EmbedTask(user))
        return report

    async def _admitted(
        self, user: User, read: bytes, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """All chunks, with a quota check at the start and after each MiB."""
        await self._admit(user)
        yield read
        unchecked = 0
        async for chunk in chunks:
            unchecked += len(chunk)
            if unchecked > _QUOTA_CHECK_BYTES:
                unchecked = 0
                await self._admit(user)
            yield chunk


async def _admit(_user: User) -> None:
    """No quota."""


def _is_header(read: bytes) -> bool:
    first = read.lstrip().partition(b"\n")[0]
    try:
        return msgspec.json.decode(first, type=_Kind).kind == EXPORT_KIND
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
