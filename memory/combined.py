"""CombinedMemory: the layers of one profile over one store."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from langchain_core.language_models import BaseChatModel

from onionskin.memory.context_window import UNLIMITED, ContextWindow
from onionskin.memory.errors import InvalidInputError
from onionskin.memory.hooks import load_hooks
from onionskin.memory.layers.base import RecallResult, TurnContext
from onionskin.memory.layers.client_history import client_message_ids, without_client_messages
from onionskin.memory.layers.langchain_classic_factories import Sources
from onionskin.memory.layers.transcript import SessionTranscript
from onionskin.memory.layers.window import turns_start
from onionskin.memory.privacy.policy import UNREDACTED, PrivacyPolicy
from onionskin.memory.profiles import Profile, build_layers, messages_read
from onionskin.memory.records.source_removal import remove_abandoned
from onionskin.memory.retrieval import Embedder, IndexCache, QueryPrefetcher
from onionskin.memory.session_lock import LockHeartbeat, OnConflict, SessionLock, acquire
from onionskin.memory.store import RedisStore, entries_of
from onionskin.memory.summarization import compact_overflow
from onionskin.memory.task_planning import (
    plan_access_count,
    plan_embedding,
    plan_extraction,
    plan_summary,
)
from onionskin.memory.time_zones import NO_ZONES, UNKNOWN_ZONE, TimeZone, ZoneChoice
from onionskin.memory.tokens import title_of
from onionskin.memory.turn_messages import new_messages, with_stored_part
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import (
    Answer,
    Committed,
    Message,
    Session,
    ToolResult,
    ToolRound,
    User,
    Vector,
)
from onionskin.memory.types.prompt_trace import layer_trace, pack_trace
from onionskin.memory.types.snapshot import Section, Snapshot
from onionskin.memory.types.tasks import AfterTurnTask, Task
from onionskin.memory.vector_databases.mirror import VectorDatabaseMirror

SHORTENED = "shortened_messages"
"""Name in `degraded` of messages in the window that were too long to be shown in full."""

_LAST_TURN = 2
"""Messages that a turn reads at least: it may repeat an interrupted one."""


class CombinedMemory:
    """LangChain's CombinedMemory for many users and workers, which survives restarts.

    Args:
        name: Name of the profile; sessions store it.
        profile: The layers, and their options.
        store: The source of truth.
        embedder: Embeds messages.
        indexes: The worker's indexes.
        embed_timeout: Time limit for embedding a turn's message; after it, search is lexical.
        model: Chat model for classic memories that call one.
        can_extract: Whether the chat model supports the extraction of records.
        privacy: What is stored, and what the model sees.
        vector_database: External database for the vector layer.
        time_zone: The zone of users whose own is unknown.
        strict: Whether an error in a layer of the operator ends the turn; otherwise the turn goes
            on without the layer.
        context: The model's context window, which every prompt fits.
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
        time_zone: TimeZone = UNKNOWN_ZONE,
        strict: bool = False,
        context: ContextWindow = UNLIMITED,
    ) -> None:
        self.name, self.privacy, self._time_zone = name, privacy, time_zone
        self.summary_policy, self.extraction_policy = (
            profile.summary_policy,
            profile.extraction_policy,
        )
        self.on_conflict: OnConflict = profile.on_conflict
        self._context = context
        self.system, self.answer_options = profile.system, profile.model.arguments()
        self._client_history = profile.client_history
        self._store, self._embedder, self._indexes = store, embedder, indexes
        if "vector" not in profile.layers or not profile.vector.database:
            vector_database = None
        sources = Sources(store, embedder, model, vector_database)
        self._layers = build_layers(profile, sources, name=name, strict=strict)
        self.hooks = load_hooks(name, profile, sources)
        self._window_size, self._can_extract = messages_read(profile, self._layers), can_extract
        self._window_turns = None if profile.custom_layers else profile.window.keep_pairs
        self._stores_vectors = profile.searches or embedder.local
        self._reads_digests, self._searches = "summary" in profile.layers, profile.searches
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
        zones: ZoneChoice = NO_ZONES,
        new_session_id: str = "",
        shown_from: int | None = None,
        replaces_from: int | None = None,
        earlier: Sequence[str] = (),
        rounds: Sequence[ToolRound] = (),
        results: Sequence[ToolResult] = (),
        metadata: str = "",
    ) -> RecallResult:
        """What the layers recall for a message, with one round trip to Redis.

        Args:
            user: The user.
            text: The message, as it is to be stored.
            session_id: The session; None for the latest, or a new one.
            now: Time of the turn, Unix seconds.
            lock: The lock that the turn takes on its session.
            new_session: Begin a new session, whatever the latest one is.
            excluded_sessions: Ids of sessions that nothing is recalled from.
            zones: The time zones that the request names.
            new_session_id: Id of the session, if it is new; random if empty.
            shown_from: Position in the session from which on the client shows the messages itself;
                None if it shows none of them. Nothing of them is added.
            replaces_from: Position in the session from which on the turn replaces the messages.
                Nothing of them is recalled.
            earlier: Messages of the user before `text` that belong to the turn.
            rounds: Answers of the turn that called tools, with the results.
            results: Results of calls of the turn before, which came with this turn.
            metadata: JSON of the client, stored with its message.

        Raises:
            InvalidInputError: The turn's own session is excluded.
            UnknownSessionError: The user has no session `session_id`.
            SessionClosedError: The session is closed.
            SessionBusyError: Another turn has the session, and `lock` does not wait, or waited too
                long.
            StoreUnavailableError: Redis is unavailable.
        """

        async def load() -> Snapshot:
            return await self._store.transcripts.load_turn(
                user,
                session_id,
                now=now,
                since=self._indexes.cursor(user) if self._needs_index else None,
                carry=self._reads_digests,
                tail=self._window_size and max(self._window_size, _LAST_TURN),
                lock=lock,
                fresh=new_session,
                replaces_from=replaces_from,
            )

        embedding = asyncio.ensure_future(self._prefetcher.prefetch(user, text))
        try:
            snapshot = await acquire(lock, load)
            vector = await embedding
        finally:
            embedding.cancel()
        if snapshot.is_new and new_session_id:
            snapshot = replace(snapshot, session=replace(snapshot.session, id=new_session_id))
        turn = TurnContext(
            user,
            text,
            now,
            snapshot,
            vector,
            shown_from=shown_from if self._client_history == "client" else None,
            lock=lock,
            excluded_sessions=frozenset(excluded_sessions),
            zone=zones.zone(snapshot.time_zone, self._time_zone),
            replaces_from=None if snapshot.is_new else replaces_from,
            earlier=tuple(earlier),
            rounds=tuple(rounds),
            results=tuple(results),
            metadata=metadata,
        )
        turn = with_stored_part(turn)
        try:
            return await self._load_layers(turn)
        except BaseException:
            await self._release_lock(turn)
            raise

    async def _load_layers(self, turn: TurnContext) -> RecallResult:
        user, snapshot = turn.user, turn.snapshot
        if snapshot.session.id in turn.excluded_sessions:
            raise InvalidInputError(
                "The turn's own session is in apart_from. Remove it, or pass another session_id: "
                "without one, a turn continues the latest session."
            )
        cached = await self._indexes.catch_up(user, snapshot.changes) if snapshot.changes else None
        if cached is not None and cached.abandoned:
            cached = await remove_abandoned(self._store, self._indexes, user)
        index = records = None
        quarantined_ids = frozenset[str]()
        if cached is not None:
            index, records = cached.index, cached.records
            quarantined_ids = cached.quarantine.quarantined_ids
        if self._window_size == 1:  # without a window, all messages may be recalled
            snapshot = replace(snapshot, unfolded=())
        snapshot = await self._compacted(user, snapshot, quarantined_ids)
        turn = replace(
            turn,
            snapshot=snapshot,
            index=index,
            records=records,
            query=await self._prefetcher.query_vector(turn.text, turn.vector, index),
            quarantined_ids=quarantined_ids,
            transcript=SessionTranscript(self._store, user, snapshot.session, quarantined_ids),
        )
        turn = replace(turn, shown=client_message_ids(turn))
        sections, degraded = list[Section](), list[str]()
        for layer in self._layers:
            section = without_client_messages(await layer.load(turn), turn)
            sections.append(section)
            turn = replace(
                turn,
                shown=turn.shown | section.ids_shown(),
                shortened=turn.shortened.union(section.shortened),
            )
            if section.missing:
                degraded.append(section.missing)
        fitted = self._context.fitted(sections, turn.text)
        degraded += [SHORTENED] if fitted.is_shortened else []
        if self.extraction_policy and not self._can_extract:
            degraded.insert(0, "extraction")
        if self._stores_vectors and turn.vector is None:
            degraded.insert(0, "embedder")
        return RecallResult(
            turn, self.name, fitted.sections, tuple(degraded), fitted.longest_message
        )

    def keep_lock(self, recalled: RecallResult) -> LockHeartbeat:
        """The heartbeat of the turn's session lock, for the time that the model takes."""
        turn, lock = recalled.turn, recalled.turn.lock
        if lock is None or not lock.token or turn.snapshot.is_new:
            return LockHeartbeat(None)
        store, user, session_id = self._store, turn.user, turn.snapshot.session.id
        return LockHeartbeat(lambda: store.locks.renew_session(user, session_id, lock.token))

    async def release(self, recalled: RecallResult) -> None:
        """Release the session lock; nothing of the turn is stored."""
        await self._release_lock(recalled.turn)

    async def _release_lock(self, turn: TurnContext) -> None:
        if turn.lock and turn.lock.token and not turn.snapshot.is_new:
            await self._store.locks.release_session(
                turn.user, turn.snapshot.session.id, turn.lock.token
            )

    async def remember(
        self,
        recalled: RecallResult,
        answer: Answer | str | None,
        *,
        at: float,
        nonce: str = "",
        nonce_seconds: int = 0,
        keeps_nonce: bool = False,
    ) -> Committed:
        """Stores the turn atomically: what the user said, and what came of it.

        What the session holds of the turn already is not stored again.

        Args:
            recalled: What was recalled for the turn.
            answer: What came of it, as it is to be stored; None for nothing.
            at: Time of the answer, Unix seconds.
            nonce: Idempotency key of the turn: it is stored once under the same nonce.
            nonce_seconds: How long the nonce is remembered; 0 for the default.
            keeps_nonce: Whether the nonce stays free for a retry, which replaces this turn.

        Raises:
            UnknownSessionError: The session was deleted since the recall.
            SessionClosedError: It was closed since the recall.
            StoreUnavailableError: Redis is unavailable; nothing was stored.
        """
        turn = recalled.turn
        session = replace(turn.snapshot.session, profile=self.name)
        if turn.snapshot.is_new or _is_replaced(session, turn.replaces_from):
            session = replace(session, title=title_of((*turn.earlier, turn.text)[0]))
        added = new_messages(recalled, Answer(answer) if isinstance(answer, str) else answer, at)
        if not added:
            await self._release_lock(turn)
            position = turn.turn_position or 0
            return Committed(session.id, position, session.length)
        messages: list[tuple[Message, Vector | None]] = []
        for message in added:
            is_question = message.role == "user" and message.content == turn.text
            vector = turn.vector if is_question else None
            if vector is None and self._embedder.local and not is_question:
                vector = await self._prefetcher.embed(message.spoken)
            messages.append((message, vector))
        committed = await self._store.transcripts.commit(
            turn.user,
            session,
            messages,
            create=turn.snapshot.is_new,
            lock_token=turn.lock.token if turn.lock else "",
            nonce=nonce,
            nonce_seconds=nonce_seconds,
            keeps_nonce=keeps_nonce,
            trace=pack_trace(map(layer_trace, recalled.sections)),
            epoch=turn.snapshot.epoch,
            replaces_from=turn.replaces_from,
            turn_position=turn.turn_position,
        )
        if self._needs_index and committed.sequence:
            cursor = Cursor(turn.snapshot.epoch, committed.sequence)
            entries = entries_of(committed, messages)
            # After the response is sent. A lambda, so that a logged error has no message text.
            asyncio.get_running_loop().call_soon(
                lambda: self._indexes.append_committed(turn.user, cursor, entries)
            )
        return committed

    def plan_tasks(self, recalled: RecallResult, answer: Answer | str | None) -> tuple[Task, ...]:
        """The background tasks that the stored turn makes due."""
        answer = Answer(answer) if isinstance(answer, str) else answer
        added = new_messages(recalled, answer, recalled.turn.at)
        tasks = list(plan_access_count(recalled))
        if self.summary_policy:
            tasks.extend(plan_summary(self.summary_policy, recalled, added))
        if self._searches:
            local = self._embedder.local and self._vector_database is None
            tasks.extend(plan_embedding(recalled.turn, local=local))
        if self.extraction_policy and self._can_extract:
            tasks.extend(plan_extraction(self.extraction_policy, recalled, len(added)))
        return tuple(tasks)

    def plan_hooks(self, user: User, committed: Committed) -> tuple[Task, ...]:
        """The task that calls the profile's hooks with a stored turn; none without hooks."""
        if not self.hooks:
            return ()
        return (AfterTurnTask(user, committed.turn_id, self.name),)

    async def _compacted(
        self, user: User, snapshot: Snapshot, quarantined_ids: frozenset[str]
    ) -> Snapshot:
        """The snapshot with what overflows the window summarized at once, without a model.

        Without a summary, the snapshot with the turns that the window may show.
        """
        if self.summary_policy is None:
            if self._window_turns is None:
                return snapshot
            start = turns_start(snapshot.unfolded, self._window_turns)
            return replace(snapshot, unfolded=snapshot.unfolded[start:]) if start else snapshot
        session, read = snapshot.session, snapshot.session.summary_state
        state, unfolded = compact_overflow(
            self.summary_policy, read, snapshot.unfolded, quarantined_ids
        )
        if state is read:
            return snapshot
        state = replace(state, fallback_summary=self.privacy.redact(state.fallback_summary))
        # If another worker has stored its own state first, that one stays; this turn uses its own.
        await self._store.sessions.save_summary(
            user, session.id, read, state, abandoned=session.abandoned
        )
        return replace(snapshot, session=replace(session, summary_state=state), unfolded=unfolded)


def _is_replaced(session: Session, replaces_from: int | None) -> bool:
    """Whether a turn replaces all live messages of its session."""
    return replaces_from is not None and not session.abandoned.count_live(0, replaces_from)
