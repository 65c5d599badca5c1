"""CombinedMemory: the layers of one profile, over one store."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from langchain_core.language_models import BaseChatModel

from onionskin.memory.layers.base import RecallResult, TurnContext, check_excluded_sessions
from onionskin.memory.layers.langchain_classic_factories import Sources
from onionskin.memory.privacy.policy import UNREDACTED, PrivacyPolicy
from onionskin.memory.profiles import Profile, build_layers
from onionskin.memory.retrieval import Embedder, IndexCache, QueryPrefetcher
from onionskin.memory.session_lock import LockHeartbeat, OnConflict, SessionLock, acquire
from onionskin.memory.store import RedisStore
from onionskin.memory.store.locks import release_lock, renew_lock
from onionskin.memory.store.store import entries_of
from onionskin.memory.summarization import compact_overflow
from onionskin.memory.task_planning import (
    plan_access_count,
    plan_embedding,
    plan_extraction,
    plan_summary,
)
from onionskin.memory.tokens import title_of
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import Committed, Message, User
from onionskin.memory.types.prompt_trace import layer_trace, pack_trace
from onionskin.memory.types.snapshot import Section, Snapshot
from onionskin.memory.types.tasks import Task
from onionskin.memory.vector_databases.mirror import VectorDatabaseMirror


class CombinedMemory:
    """What LangChain's CombinedMemory promises, for many users, workers and restarts.

    Args:
        name: the profile's name, noted in the sessions it creates.
        profile: which layers.
        store: the source of truth.
        embedder: for the message at hand and what is stored.
        views: the worker's indexes.
        embed_within: how long a turn waits for the embedder before it goes on with words alone.
        model: for classic memories that call one.
        can_extract: whether records can be drawn, where the profile asks for it.
        discretion: what is kept of what is said, and what the model sees.
        outside: a vector database to stand behind the vector layer.
    """

    def __init__(
        self,
        name: str,
        profile: Profile,
        *,
        store: RedisStore,
        embedder: Embedder,
        indexes: IndexCache,
        embed_timeout: timedelta = timedelta(seconds=2),
        model: BaseChatModel | None = None,
        can_extract: bool = True,
        privacy: PrivacyPolicy = UNREDACTED,
        vector_database: VectorDatabaseMirror | None = None,
    ) -> None:
        self.name, self.summary_policy, self.extraction_policy = (
            name,
            profile.summary_policy,
            profile.extraction_policy,
        )
        self.on_conflict: OnConflict = profile.on_conflict
        self._store, self._embedder, self._indexes = store, embedder, indexes
        vector_database = (
            vector_database if "vector" in profile.layers and profile.vector.database else None
        )
        self._layers = build_layers(profile, Sources(store, embedder, model, vector_database))
        self._window_size, self._stores_vectors = (
            profile.window_size,
            profile.searches or embedder.local,
        )
        self._can_extract, self.privacy = can_extract, privacy
        self._carries, self._searches = "summary" in profile.layers, profile.searches
        self._vector_database = vector_database
        ranked = indexes if "vector" in profile.layers and not vector_database else None
        self._prefetcher = QueryPrefetcher(
            embedder, embed_timeout, ranked, idle=not self._stores_vectors
        )
        indexed = "facts" in profile.layers or (profile.searches and not vector_database)
        self._needs_index = indexed or (indexes.quarantines and bool(profile.layers))

    async def recall(
        self,
        user: User,
        text: str,
        *,
        session_id: str | None,
        now: float,
        lock: SessionLock | None = None,
        new_session: bool = False,
        excluded_sessions: Sequence[str] = (),
    ) -> RecallResult:
        """All that the layers have to say to `text`, in one round trip to Redis.

        Nothing is recalled of the sessions `apart`.

        Raises:
            InvalidInputError: the turn's own session is `apart`.
            UnknownSessionError: the user has no session `session_id`.
            SessionClosedError: it was closed.
            SessionBusyError: another turn has it, and `hold` does not wait, or waited too long.
            StoreUnavailableError: Redis is away.
        """
        embedding = asyncio.ensure_future(self._prefetcher.prefetch(user, text))
        try:
            snapshot = await acquire(
                lock, lambda: self._snapshot(user, session_id, now, lock, fresh=new_session)
            )
            vector = await embedding
        finally:
            embedding.cancel()
        turn = TurnContext(
            user,
            text,
            now,
            snapshot,
            vector,
            lock=lock,
            excluded_sessions=frozenset(excluded_sessions),
        )
        try:
            return await self._load_layers(turn)
        except BaseException:
            await self._release_lock(turn)
            raise

    async def _load_layers(self, turn: TurnContext) -> RecallResult:
        user, snapshot = turn.user, turn.snapshot
        check_excluded_sessions(turn)
        view = await self._indexes.catch_up(user, snapshot.changes) if snapshot.changes else None
        index, records = (view.index, view.records) if view else (None, None)
        held_back = view.quarantine.quarantined_ids if view else frozenset[str]()
        snapshot = await self._within_budget(user, snapshot, held_back)
        asked = await self._prefetcher.query_vector(turn.text, turn.vector, index)
        turn = replace(
            turn,
            snapshot=snapshot,
            index=index,
            records=records,
            query=asked,
            quarantined_ids=held_back,
        )
        sections: list[Section] = []
        for layer in self._layers:
            section = await layer.load(turn)
            sections.append(section)
            turn = replace(turn, shown=turn.shown | section.ids_shown())
        missing = [*self._missing(turn), *(one.missing for one in sections if one.missing)]
        return RecallResult(turn, self.name, tuple(sections), tuple(missing))

    def _missing(self, turn: TurnContext) -> Iterator[str]:
        """What the turn goes on without."""
        if self._stores_vectors and turn.vector is None:
            yield "embedder"
        if self.extraction_policy and not self._can_extract:
            yield "extraction"

    async def _snapshot(
        self,
        user: User,
        session_id: str | None,
        now: float,
        hold: SessionLock | None,
        *,
        fresh: bool,
    ) -> Snapshot:
        return await self._store.snapshot(
            user,
            session_id,
            now=now,
            view=self._indexes.cursor(user) if self._needs_index else None,
            carry=self._carries,
            tail=self._window_size,
            hold=hold,
            fresh=fresh,
        )

    def keep_lock(self, recollection: RecallResult) -> LockHeartbeat:
        """Keeps the turn's hold on its session while the model thinks."""
        turn, hold = recollection.turn, recollection.turn.lock
        if hold is None or not hold.token or turn.snapshot.is_new:
            return LockHeartbeat(None)
        store, user, session_id = self._store, turn.user, turn.snapshot.session.id
        return LockHeartbeat(lambda: renew_lock(store, user, session_id, hold.token))

    async def release(self, recollection: RecallResult) -> None:
        """Let the next turn have the session; nothing of this one is stored."""
        await self._release_lock(recollection.turn)

    async def _release_lock(self, turn: TurnContext) -> None:
        if turn.lock and turn.lock.token and not turn.snapshot.is_new:
            await release_lock(self._store, turn.user, turn.snapshot.session.id, turn.lock.token)

    async def remember(
        self,
        recollection: RecallResult,
        reply: str,
        *,
        at: float,
        interrupted: bool = False,
        nonce: str = "",
    ) -> Committed:
        """Store the turn: the user's message and the reply, whole or not at all.

        Args:
            recollection: of the turn.
            reply: what was answered.
            at: when, Unix seconds.
            interrupted: whether the reply was stopped before its end.
            nonce: names the turn: under the same nonce it is stored once.

        Raises:
            UnknownSessionError: the session was deleted meanwhile.
            SessionClosedError: it was closed meanwhile.
            StoreUnavailableError: Redis is away; nothing was stored.
        """
        turn = recollection.turn
        session = replace(turn.snapshot.session, profile=self.name)
        if turn.snapshot.is_new:
            session = replace(session, title=title_of(turn.text))
        answer = await self._prefetcher.embed(reply) if self._embedder.local else None
        said = Message("user", turn.text, turn.at)
        replied = Message("assistant", reply, max(at, turn.at), None, interrupted, self.name)
        messages = [(said, turn.vector), (replied, answer)]
        committed = await self._store.commit(
            turn.user,
            session,
            messages,
            create=turn.snapshot.is_new,
            hold=turn.lock.token if turn.lock else "",
            nonce=nonce,
            trace=pack_trace([layer_trace(section) for section in recollection.sections]),
            epoch=turn.snapshot.epoch,
        )
        if self._needs_index and committed.sequence:  # once the answer is on its way
            cursor = Cursor(turn.snapshot.epoch, committed.sequence)
            stored = entries_of(committed, messages)
            later = asyncio.get_running_loop().call_soon
            later(
                lambda: self._indexes.append_committed(turn.user, cursor, stored)
            )  # an error tells no text
        return committed

    def plan_tasks(self, recollection: RecallResult, reply: str) -> tuple[Task, ...]:
        """What should be done after this turn, now that it is stored."""
        due = list(plan_access_count(recollection))
        if self.summary_policy:
            due.extend(plan_summary(self.summary_policy, recollection, reply))
        if self._searches:
            local = self._embedder.local and self._vector_database is None
            due.extend(plan_embedding(recollection.turn, local=local))
        if self.extraction_policy and self._can_extract:
            due.extend(plan_extraction(self.extraction_policy, recollection))
        return tuple(due)

    async def _within_budget(
        self, user: User, snapshot: Snapshot, held_back: frozenset[str]
    ) -> Snapshot:
        """Fold at once, without a model, what the window cannot hold: nothing falls between."""
        if self.summary_policy is None:
            return snapshot
        read = snapshot.session.summary_state
        fold, unfolded = compact_overflow(self.summary_policy, read, snapshot.unfolded, held_back)
        if fold is read:
            return snapshot
        fold = replace(fold, fallback_summary=self.privacy.redact(fold.fallback_summary))
        # If another worker folded meanwhile, its fold stands; this turn shows its own all the same.
        await self._store.fold(user, snapshot.session.id, read, fold)
        return replace(
            snapshot, session=replace(snapshot.session, summary_state=fold), unfolded=unfolded
        )
