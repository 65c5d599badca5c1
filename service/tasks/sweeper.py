"""Sweeps all sessions: closes idle ones, queues overdue tasks, deletes what retention ends."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.errors import (
    EncryptedValueError,
    OnionskinError,
    StoreUnavailableError,
    UnknownSessionError,
)
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import Session, User
from onionskin.memory.types.tasks import EmbedTask, ExtractTask, SummarizeTask
from onionskin.service.tasks.runner import TaskRunner

_log = logging.getLogger("onionskin.jobs")
_MIN_PAUSE, _MAX_PAUSE = timedelta(seconds=1), timedelta(hours=1)


class Sweeper:
    """Sweeps at the start and then periodically.

    Args:
        store: Holds the sessions.
        memories: The memory of each profile, by name.
        tasks: Queues the tasks.
        default_profile: The profile of sessions that name none.
        close_after: Idle time after which a session is closed; zero for never.
        clock: Seconds since the epoch.
        has_vector_database: Whether a vector database has to delete expired messages too.

    Attributes:
        damaged: Sessions and users' memories that the last whole sweep skipped.
    """

    def __init__(
        self,
        store: RedisStore,
        memories: Mapping[str, CombinedMemory],
        tasks: TaskRunner,
        *,
        default_profile: str,
        close_after: timedelta,
        clock: Callable[[], float] = time.time,
        has_vector_database: bool = False,
    ) -> None:
        self._store, self._memories, self._tasks = store, memories, tasks
        self._default, self._close_after, self._clock = default_profile, close_after, clock
        self._has_vector_database = has_vector_database
        self.damaged, self._has_swept = 0, False

    async def run(self) -> None:
        """Sweep until cancelled; only once where no session closes or expires."""
        spans = [
            span for span in (self._close_after, self._store.deletion.shortest_retention) if span
        ]
        pause = min(max(min(spans) / 10, _MIN_PAUSE), _MAX_PAUSE) if spans else None
        await self._follow_embedder()
        while True:
            await self.sweep()
            if pause is None:
                return
            await asyncio.sleep(pause.total_seconds())

    async def _follow_embedder(self) -> None:
        """Queue an embedding of every user after a change of embedder."""
        deployment, tag = self._store.deployment, self._store.embedder_tag
        with contextlib.suppress(OnionskinError):  # each user's next turn queues it then
            if await deployment.embedder() == tag:
                return
            async for user in self._store.users.all():
                await self._tasks.schedule(EmbedTask(user))
            await deployment.set_embedder(tag)

    async def sweep(self) -> None:
        """Sweep every session once; stops where Redis cannot be reached.

        The first sweep of a process also repairs sessions that no list contains.
        A session whose stored values are damaged is skipped, logged and counted in `damaged`.
        """
        damaged = 0
        try:
            async for user, session_id in self._store.sessions.all():
                damaged += await self._is_damaged(
                    self._expire_or_sweep(user, session_id), {"session": session_id}
                )
            if self._store.records.can_expire():
                async for user in self._store.users.all():
                    damaged += await self._is_damaged(
                        self._store.deletion.expire_records(user), {"part": "memories"}
                    )
        except OnionskinError:
            return
        self.damaged, self._has_swept = damaged, True

    async def _is_damaged(self, work: Awaitable[object], place: dict[str, str]) -> bool:
        """Whether the work met a damaged value.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        try:
            await work
        except StoreUnavailableError:
            raise
        except (EncryptedValueError, UnknownSessionError):
            return False
        except (OnionskinError, ValueError, TypeError, KeyError) as error:
            _log.error("damaged value skipped", extra={"error": type(error).__name__, **place})
            return True
        return False

    async def _expire_or_sweep(self, user: User, session_id: str) -> None:
        if not self._has_swept and await self._store.deletion.repair_session(user, session_id):
            _log.warning("session was in no list", extra={"session": session_id})
        if await self._store.deletion.expire_session(user, session_id):
            if self._has_vector_database:
                await self._tasks.schedule(EmbedTask(user))
            return
        session = await self._store.sessions.get(user, session_id)
        await self._sweep_session(user, session)

    async def _sweep_session(self, user: User, session: Session) -> None:
        memory = self._memories.get(session.profile or self._default)
        idle = self._clock() - session.active
        if memory and memory.extraction_policy and session.extracted_upto < session.length:
            quiet = memory.extraction_policy.quiet_seconds
            quiet = 0.0 if idle > quiet else quiet
            name = session.profile
            await self._tasks.schedule(ExtractTask(user, session.id, name, final=True, quiet=quiet))
        if self._close_after and not session.closed and idle > self._close_after.total_seconds():
            await self._store.sessions.close(user, session.id)
            if memory and memory.summary_policy:
                await self._tasks.schedule(
                    SummarizeTask(user, session.id, session.profile, final=True)
                )
            return
        if not (memory and memory.summary_policy):
            return
        summary, final = session.summary_state, session.closed
        in_window = 0 if final else 2 * memory.summary_policy.keep_pairs
        waiting = session.abandoned.count_live(summary.compacted_upto, session.length) - in_window
        if waiting > 0 or summary.summarized_upto < summary.compacted_upto:
            await self._tasks.schedule(
                SummarizeTask(user, session.id, session.profile, final=final)
            )
