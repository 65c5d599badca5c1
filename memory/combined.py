"""CombinedMemory: the layers of one profile, over one store."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from langchain_core.language_models import BaseChatModel

from onionskin.memory.layers.base import Recollection, Turn, check_apart
from onionskin.memory.layers.langchain_classic_factories import Sources
from onionskin.memory.layers.summary import shown_ids
from onionskin.memory.privacy.policy import UNREDACTED, Discretion
from onionskin.memory.profiles import Profile, build_layers
from onionskin.memory.retrieval.embedders.base import Embedder
from onionskin.memory.retrieval.index.index_cache import Views
from onionskin.memory.retrieval.prefetch import Foresight
from onionskin.memory.session_lock import Hold, OnConflict, Watch, held
from onionskin.memory.store import RedisStore
from onionskin.memory.store.locks import give_back, renew_hold
from onionskin.memory.store.store import stored_entries
from onionskin.memory.summarization import fold_overflow
from onionskin.memory.task_planning import embedding_due, extraction_due, fold_due, use_due
from onionskin.memory.tokens import title_of
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import Committed, Message, Section, Snapshot, User
from onionskin.memory.types.prompt_trace import pack_trace, traced
from onionskin.memory.types.tasks import Due
from onionskin.memory.vector_databases.mirror import Outside


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
        views: Views,
        embed_within: timedelta = timedelta(seconds=2),
        model: BaseChatModel | None = None,
        can_extract: bool = True,
        discretion: Discretion = UNREDACTED,
        outside: Outside | None = None,
    ) -> None:
        self.name, self.folds, self.extracts = name, profile.folds, profile.extracts
        self.on_conflict: OnConflict = profile.on_conflict
        self._store, self._embedder, self._views = store, embedder, views
        outside = outside if "vector" in profile.layers and profile.vector.database else None
        self._layers = build_layers(profile, Sources(store, embedder, model, outside))
        self._tail, self._embeds = profile.tail, profile.searches or embedder.local
        self._can_extract, self.discretion = can_extract, discretion
        self._carries, self._searches = "summary" in profile.layers, profile.searches
        self._outside = outside
        ranked = views if "vector" in profile.layers and not outside else None
        self._foresight = Foresight(embedder, embed_within, ranked, idle=not self._embeds)
        indexed = "facts" in profile.layers or (profile.searches and not outside)
        self._looks = indexed or (views.quarantines and bool(profile.layers))

    async def recall(
        self,
        user: User,
        text: str,
        *,
        session_id: str | None,
        now: float,
        hold: Hold | None = None,
        fresh: bool = False,
        apart: Sequence[str] = (),
    ) -> Recollection:
        """All that the layers have to say to `text`, in one round trip to Redis.

        Nothing is recalled of the sessions `apart`.

        Raises:
            InvalidInputError: the turn's own session is `apart`.
            UnknownSessionError: the user has no session `session_id`.
            SessionClosedError: it was closed.
            SessionBusyError: another turn has it, and `hold` does not wait, or waited too long.
            StoreUnavailableError: Redis is away.
        """
        embedding = asyncio.ensure_future(self._foresight.ahead(user, text))
        try:
            snapshot = await held(
                hold, lambda: self._snapshot(user, session_id, now, hold, fresh=fresh)
            )
            vector = await embedding
        finally:
            embedding.cancel()
        turn = Turn(user, text, now, snapshot, vector, hold=hold, apart=frozenset(apart))
        try:
            return await self._recollected(turn)
        except BaseException:
            await self._let_go(turn)
            raise

    async def _recollected(self, turn: Turn) -> Recollection:
        user, snapshot = turn.user, turn.snapshot
        check_apart(turn)
        view = await self._views.current(user, snapshot.changes) if snapshot.changes else None
        index, records = (view.index, view.records) if view else (None, None)
        held_back = view.quarantine.held if view else frozenset[str]()
        snapshot = await self._within_budget(user, snapshot, held_back)
        asked = await self._foresight.focused(turn.text, turn.vector, index)
        turn = replace(
            turn, snapshot=snapshot, index=index, records=records, query=asked, held=held_back
        )
        sections: list[Section] = []
        for layer in self._layers:
            section = await layer.load(turn)
            sections.append(section)
            turn = replace(turn, shown=turn.shown | shown_ids(section))
        missing = [*self._missing(turn), *(one.missing for one in sections if one.missing)]
        return Recollection(turn, self.name, tuple(sections), tuple(missing))

    def _missing(self, turn: Turn) -> Iterator[str]:
        """What the turn goes on without."""
        if self._embeds and turn.vector is None:
            yield "embedder"
        if self.extracts and not self._can_extract:
            yield "extraction"

    async def _snapshot(
        self,
        user: User,
        session_id: str | None,
        now: float,
        hold: Hold | None,
        *,
        fresh: bool,
    ) -> Snapshot:
        return await self._store.snapshot(
            user,
            session_id,
            now=now,
            view=self._views.cursor(user) if self._looks else None,
            carry=self._carries,
            tail=self._tail,
            hold=hold,
            fresh=fresh,
        )

    def watch(self, recollection: Recollection) -> Watch:
        """Keeps the turn's hold on its session while the model thinks."""
        turn, hold = recollection.turn, recollection.turn.hold
        if hold is None or not hold.token or turn.snapshot.is_new:
            return Watch(None)
        store, user, session_id = self._store, turn.user, turn.snapshot.session.id
        return Watch(lambda: renew_hold(store, user, session_id, hold.token))

    async def give_up(self, recollection: Recollection) -> None:
        """Let the next turn have the session; nothing of this one is stored."""
        await self._let_go(recollection.turn)

    async def _let_go(self, turn: Turn) -> None:
        if turn.hold and turn.hold.token and not turn.snapshot.is_new:
            await give_back(self._store, turn.user, turn.snapshot.session.id, turn.hold.token)

    async def remember(
        self,
        recollection: Recollection,
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
        answer = await self._foresight.embed(reply) if self._embedder.local else None
        said = Message("user", turn.text, turn.at)
        replied = Message("assistant", reply, max(at, turn.at), None, interrupted, self.name)
        messages = [(said, turn.vector), (replied, answer)]
        committed = await self._store.commit(
            turn.user,
            session,
            messages,
            create=turn.snapshot.is_new,
            hold=turn.hold.token if turn.hold else "",
            nonce=nonce,
            trace=pack_trace([traced(section) for section in recollection.sections]),
            epoch=turn.snapshot.epoch,
        )
        if self._looks and committed.sequence:  # once the answer is on its way
            cursor = Cursor(turn.snapshot.epoch, committed.sequence)
            stored = stored_entries(committed, messages)
            later = asyncio.get_running_loop().call_soon
            later(lambda: self._views.wrote(turn.user, cursor, stored))  # an error tells no text
        return committed

    def due(self, recollection: Recollection, reply: str) -> tuple[Due, ...]:
        """What should be done after this turn, now that it is stored."""
        due = list(use_due(recollection))
        if self.folds:
            due.extend(fold_due(self.folds, recollection, reply))
        if self._searches:
            local = self._embedder.local and self._outside is None
            due.extend(embedding_due(recollection.turn, local=local))
        if self.extracts and self._can_extract:
            due.extend(extraction_due(self.extracts, recollection))
        return tuple(due)

    async def _within_budget(
        self, user: User, snapshot: Snapshot, held_back: frozenset[str]
    ) -> Snapshot:
        """Fold at once, without a model, what the window cannot hold: nothing falls between."""
        if self.folds is None:
            return snapshot
        read = snapshot.session.fold
        fold, unfolded = fold_overflow(self.folds, read, snapshot.unfolded, held_back)
        if fold is read:
            return snapshot
        fold = replace(fold, extract=self.discretion.redacted(fold.extract))
        # If another worker folded meanwhile, its fold stands; this turn shows its own all the same.
        await self._store.fold(user, snapshot.session.id, read, fold)
        return replace(snapshot, session=replace(snapshot.session, fold=fold), unfolded=unfolded)
