"""Looking after silent sessions: to be folded or closed; and after what is past its time."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.errors import EncryptedValueError, OnionskinError, UnknownSessionError
from onionskin.memory.store import RedisStore
from onionskin.memory.store.deletion import expire_records, expire_session
from onionskin.memory.store.deployment import embedder_in_use, note_embedder
from onionskin.memory.store.transcripts import get_session
from onionskin.memory.store.users import all_users
from onionskin.memory.types.messages import Session, User
from onionskin.memory.types.tasks import EmbedTask, ExtractTask, SummarizeTask
from onionskin.service.tasks.runner import TaskRunner

_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(hours=1)


class Sweeper:
    """Goes through all sessions at the start, and then now and then.

    Args:
        store: where sessions stand.
        memories: the profiles, by name.
        jobs: does what is due.
        default_profile: of sessions that were noted with none.
        close_after: how long a session may be silent before it is closed; zero for ever.
        clock: seconds since the epoch.
        fills: whether a vector database is to forget what goes for its age.
    """

    def __init__(
        self,
        store: RedisStore,
        memories: Mapping[str, CombinedMemory],
        jobs: TaskRunner,
        *,
        default_profile: str,
        close_after: timedelta,
        clock: Callable[[], float] = time.time,
        fills: bool = False,
    ) -> None:
        self._store, self._memories, self._jobs = store, memories, jobs
        self._default, self._close_after, self._clock = default_profile, close_after, clock
        self._fills = fills

    async def run(self) -> None:
        """Sweep until cancelled; once only where nothing ever closes or goes for its age."""
        spans = [span for span in (self._close_after, self._store.retention.shortest) if span]
        pause = min(max(min(spans) / 10, _SHORTEST), _LONGEST) if spans else None
        await self._follow_embedder()
        while True:
            await self.sweep()
            if pause is None:
                return
            await asyncio.sleep(pause.total_seconds())

    async def _follow_embedder(self) -> None:
        """After a change of embedder, all users are due to be embedded anew."""
        connection, tag = self._store.connection, self._store.embedder_tag
        with contextlib.suppress(OnionskinError):  # then each user's next turn does it
            if await embedder_in_use(connection) == tag:
                return
            async for user in all_users(self._store):
                await self._jobs.schedule(EmbedTask(user))
            await note_embedder(connection, tag)

    async def sweep(self) -> None:
        """Look at every session once; while Redis is away, each session's next turn does."""
        try:
            async for user, session_id in self._store.all_sessions():
                try:
                    if await expire_session(self._store, user, session_id):
                        if self._fills:
                            await self._jobs.schedule(EmbedTask(user))
                        continue
                    session = await get_session(self._store, user, session_id)
                    await self._look_at(user, session)
                except (EncryptedValueError, UnknownSessionError):
                    continue
            if self._store.retention.expires_memories():
                async for user in all_users(self._store):
                    with contextlib.suppress(EncryptedValueError):
                        await expire_records(self._store, user)
        except OnionskinError:
            return

    async def _look_at(self, user: User, session: Session) -> None:
        memory = self._memories.get(session.profile or self._default)
        silent = self._clock() - session.active
        if memory and memory.extraction_policy and session.extracted_upto < session.length:
            quiet = memory.extraction_policy.quiet_seconds
            quiet = 0.0 if silent > quiet else quiet
            name = session.profile
            await self._jobs.schedule(ExtractTask(user, session.id, name, final=True, quiet=quiet))
        if self._close_after and not session.closed and silent > self._close_after.total_seconds():
            await self._store.close(user, session.id)
            if memory and memory.summary_policy:
                await self._jobs.schedule(
                    SummarizeTask(user, session.id, session.profile, final=True)
                )
            return
        if not (memory and memory.summary_policy):
            return
        fold, final = session.summary_state, session.closed
        kept = 0 if final else 2 * memory.summary_policy.keep_pairs
        waiting = session.length - fold.compacted_upto - kept
        if waiting > 0 or fold.summarized_upto < fold.compacted_upto:
            await self._jobs.schedule(SummarizeTask(user, session.id, session.profile, final=final))
