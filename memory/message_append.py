"""Appends messages to a session: of an application that calls the model itself."""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.errors import UnknownProfileError, UnknownSessionError
from onionskin.memory.privacy.conversation_redactor import ConversationRedactors
from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.memory.retrieval import Embedder, IndexCache, embed_in_batches
from onionskin.memory.session_lock import OnConflict, SessionLock, acquire
from onionskin.memory.store import RedisStore, entries_of
from onionskin.memory.summarization import next_compaction
from onionskin.memory.tokens import title_of
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import Committed, Entry, Message, Session, User, Vector
from onionskin.memory.types.snapshot import Snapshot
from onionskin.memory.types.tasks import AfterTurnTask, EmbedTask, ExtractTask, SummarizeTask, Task

_TAIL, _PAGE = 8, 32


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to append.

    Attributes:
        client_id: The client's id; a message with the same one is stored once. Empty for none.
    """

    message: Message
    client_id: str = ""


@dataclass(frozen=True, slots=True)
class AppendedMessage:
    """A message that is stored now.

    Attributes:
        turn_position: Position of the first message of its turn; None before the user's first one.
        is_duplicate: Whether it was stored before, under the same client id.
    """

    position: int
    turn_position: int | None
    client_id: str = ""
    is_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class AppendResult:
    """What an append has stored: one item per message, in their order."""

    session_id: str
    is_new_session: bool
    length: int
    messages: tuple[AppendedMessage, ...]


@dataclass(frozen=True, slots=True)
class AppendTarget:
    """The session to append to.

    Attributes:
        session_id: The session; None for the latest one, or a new one.
        creates: Whether `session_id` is created if it does not exist.
        is_new: Whether to begin a new session in any case.
        replaces_from: Position from which on the session's messages are replaced, as by an edit;
            None to replace none.
    """

    session_id: str | None = None
    creates: bool = False
    is_new: bool = False
    replaces_from: int | None = None


class MessageAppender:
    """Appends messages as a turn stores them: all or none, once, under the session lock.

    Args:
        memories: The memory of each profile, by name.
        default_profile: The profile of sessions that name none.
        store: The source of truth.
        embedder: A local one embeds at once.
        indexes: The worker's indexes.
        clock: Current time in Unix seconds.
        on_task: Called with each background task that becomes due; must not block.
        extracts: Whether the chat model supports the extraction of records.
        has_vector_database: Whether an external database mirrors the messages.
    """

    def __init__(
        self,
        memories: Mapping[str, CombinedMemory],
        *,
        default_profile: str,
        store: RedisStore,
        embedder: Embedder,
        indexes: IndexCache,
        clock: Callable[[], float],
        on_task: Callable[[Task], None],
        extracts: bool = True,
        has_vector_database: bool = False,
    ) -> None:
        self._memories, self._default_profile = memories, default_profile
        self._store, self._embedder, self._indexes = store, embedder, indexes
        self._clock, self._on_task, self._extracts = clock, on_task, extracts
        self._embeds_later = has_vector_database or not embedder.local

    async def append(
        self,
        user: User,
        target: AppendTarget,
        messages: Sequence[NewMessage],
        *,
        profile: str = "",
        on_conflict: OnConflict | None = None,
        nonce: str = "",
    ) -> AppendResult:
        """Append messages to a session: all of them, or none.

        Args:
            user: The owner of the session.
            target: The session.
            messages: The messages, oldest first.
            profile: Memory profile of the session; empty for the session's own.
            on_conflict: What to do while a turn runs on the session; None for the profile's
                choice.
            nonce: The messages are stored once under the same nonce; empty for none.

        Raises:
            UnknownSessionError: There is no such session, and it may not be created.
            SessionClosedError: The session is closed.
            SessionBusyError: A turn has the session, and `on_conflict` does not wait.
            UnknownProfileError: There is no such profile.
        """
        memory = self._memory(profile)
        lock = SessionLock.new(on_conflict or memory.on_conflict)

        async def load() -> Snapshot:
            return await self._load(user, target, memory, lock)

        snapshot = await acquire(lock, load)
        try:
            return await self._store_messages(
                user, snapshot, messages, lock, target=target, profile=profile, nonce=nonce
            )
        except BaseException:
            await self._release(user, snapshot, lock)
            raise

    async def _release(self, user: User, snapshot: Snapshot, lock: SessionLock) -> None:
        if lock.token and not snapshot.is_new:
            await self._store.locks.release_session(user, snapshot.session.id, lock.token)

    async def _load(
        self, user: User, target: AppendTarget, memory: CombinedMemory, lock: SessionLock
    ) -> Snapshot:
        load, tail = self._store.transcripts.load_turn, 0 if memory.summary_policy else _TAIL
        try:
            return await load(
                user,
                target.session_id,
                now=self._clock(),
                since=None,
                tail=tail,
                lock=lock,
                fresh=target.is_new,
            )
        except UnknownSessionError:
            if not target.creates or target.session_id is None:
                raise
        new = await load(user, None, now=self._clock(), since=None, tail=tail, fresh=True)
        return replace(new, session=replace(new.session, id=target.session_id))

    async def _store_messages(
        self,
        user: User,
        snapshot: Snapshot,
        messages: Sequence[NewMessage],
        lock: SessionLock,
        *,
        target: AppendTarget,
        profile: str,
        nonce: str,
    ) -> AppendResult:
        session = snapshot.session
        known = await self._known(user, session.id, messages)
        fresh = [each for each in messages if each.client_id not in known]
        if not fresh:
            await self._release(user, snapshot, lock)
            items = await self._items(user, snapshot, None, messages, known)
            return AppendResult(session.id, snapshot.is_new, session.length, items)
        memory = self._memory(profile or session.profile)
        pairs = await self._prepared(session.id, fresh, memory.privacy)
        if snapshot.is_new:
            session = replace(
                session, title=_title(pairs), profile=profile or self._default_profile
            )
        elif profile:
            session = replace(session, profile=profile)
        nonce = nonce or _nonce_of(session.id, fresh)
        offsets = [(each.client_id, place) for place, each in enumerate(fresh) if each.client_id]
        if offsets:
            await self._store.client_ids.announce(user, session.id, nonce, offsets)
        committed = await self._store.transcripts.commit(
            user,
            session,
            pairs,
            create=snapshot.is_new,
            lock_token=lock.token,
            nonce=nonce,
            epoch=snapshot.epoch,
            replaces_from=None if snapshot.is_new else target.replaces_from,
        )
        entries = entries_of(committed, pairs)
        if committed.sequence:
            cursor = Cursor(snapshot.epoch, committed.sequence)
            self._indexes.append_committed(user, cursor, entries)
            for task in self._tasks(user, snapshot, memory, session, entries):
                self._on_task(task)
        items = await self._items(
            user, snapshot, committed, messages, known, replaces_from=target.replaces_from
        )
        if committed.sequence and memory.hooks:
            for task in _hook_tasks(user, memory, committed, items, entries):
                self._on_task(task)
        return AppendResult(committed.session_id, snapshot.is_new, committed.length, items)

    async def _known(
        self, user: User, session_id: str, messages: Sequence[NewMessage]
    ) -> dict[str, int]:
        """The positions of the messages that are stored already, by client id."""
        ids = [each.client_id for each in messages if each.client_id]
        positions = await self._store.client_ids.positions(user, session_id, ids)
        found = zip(ids, positions, strict=True)
        return {client_id: position for client_id, position in found if position is not None}

    async def _prepared(
        self, session_id: str, messages: Sequence[NewMessage], privacy: PrivacyPolicy
    ) -> list[tuple[Message, Vector | None]]:
        """The messages as they are stored, with vectors where the embedder is local."""
        redactors = ConversationRedactors(privacy)
        prepared = [redactors.redact_message(session_id, each.message) for each in messages]
        texts = [message.spoken for message in prepared if message.content.strip()]
        vectors = iter(await embed_in_batches(self._embedder, texts))
        return [
            (message, next(vectors) if message.content.strip() else None) for message in prepared
        ]

    def _tasks(
        self,
        user: User,
        snapshot: Snapshot,
        memory: CombinedMemory,
        session: Session,
        entries: Sequence[Entry],
    ) -> Iterator[Task]:
        profile = memory.name
        if self._embeds_later:
            yield EmbedTask(user)
        if memory.summary_policy:
            unfolded = (*snapshot.unfolded, *entries)
            if next_compaction(memory.summary_policy, session, unfolded) is not None:
                yield SummarizeTask(user, session.id, profile)
        policy = memory.extraction_policy
        if policy and self._extracts:
            due = session.length + len(entries) - session.extracted_upto
            if due >= policy.messages:
                yield ExtractTask(user, session.id, profile)
            else:
                quiet = policy.quiet_seconds
                yield ExtractTask(user, session.id, profile, final=True, quiet=quiet)

    async def _items(
        self,
        user: User,
        snapshot: Snapshot,
        committed: Committed | None,
        messages: Sequence[NewMessage],
        known: Mapping[str, int],
        *,
        replaces_from: int | None = None,
    ) -> tuple[AppendedMessage, ...]:
        """The position and turn of each message."""
        place = committed.position if committed else 0
        session_id = committed.session_id if committed else snapshot.session.id
        abandoned, first = snapshot.session.abandoned, committed.position if committed else 0

        def is_abandoned(position: int) -> bool:
            if committed and replaces_from is not None and replaces_from <= position < first:
                return True
            return position in abandoned

        turns = _TurnPositions(self._store, user, session_id, is_abandoned)
        items: list[AppendedMessage] = []
        for each in messages:
            earlier = known.get(each.client_id) if each.client_id else None
            position = place if earlier is None else earlier
            turn = await turns.of(position)
            items.append(AppendedMessage(position, turn, each.client_id, earlier is not None))
            place += earlier is None
        return tuple(items)

    def _memory(self, profile: str) -> CombinedMemory:
        name = profile or self._default_profile
        memory = self._memories.get(name)
        if memory is None and profile:
            known = ", ".join(sorted(self._memories))
            raise UnknownProfileError(f"No memory profile {name!r}; there are: {known}.")
        return memory or self._memories[self._default_profile]


class _TurnPositions:
    """Finds the first message of a message's turn; pages of the transcript are read once."""

    def __init__(
        self, store: RedisStore, user: User, session_id: str, is_abandoned: Callable[[int], bool]
    ) -> None:
        self._store, self._user, self._session_id = store, user, session_id
        self._is_abandoned = is_abandoned
        self._roles: dict[int, str] = {}

    async def of(self, position: int) -> int | None:
        """Position of the first message of the turn; None before the user's first message."""
        begin: int | None = None
        while position >= 0:
            if not self._is_abandoned(position):
                role = await self._role(position)
                if begin is not None and role != "user":
                    return begin
                begin = position if role == "user" else begin
            position -= 1
        return begin

    async def _role(self, position: int) -> str:
        if position not in self._roles:
            start = max(position + 1 - _PAGE, 0)
            entries = await self._store.transcripts.read(
                self._user, self._session_id, start=start, count=position + 1 - start
            )
            self._roles |= {entry.position: entry.message.role for entry in entries}
        return self._roles.get(position, "assistant")


def _hook_tasks(
    user: User,
    memory: CombinedMemory,
    committed: Committed,
    items: Sequence[AppendedMessage],
    entries: Sequence[Entry],
) -> Iterator[Task]:
    """The tasks that call the profile's hooks with each turn that was answered."""
    answered = {entry.position for entry in entries if entry.message.role == "assistant"}
    turns = [one.turn_position for one in items if one.position in answered]
    for turn in dict.fromkeys(turns):
        if turn is not None:
            yield AfterTurnTask(user, f"{committed.session_id}.{turn}", memory.name)


def _title(pairs: Sequence[tuple[Message, Vector | None]]) -> str:
    said = [message.content for message, _ in pairs if message.role == "user"]
    texts = said or [message.content for message, _ in pairs]
    return title_of(texts[0])


def _nonce_of(session_id: str, messages: Sequence[NewMessage]) -> str:
    """The nonce of a commit: the same for the same ids, if all messages have one."""
    if not all(each.client_id for each in messages):
        return f"append:{secrets.token_hex(16)}"
    digest = hashlib.sha256(session_id.encode())
    for each in messages:
        digest.update(f"\0{each.client_id}".encode())
    return f"append:{digest.hexdigest()}"
