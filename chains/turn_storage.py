"""Stores what comes of a turn: once, however the turn ends."""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from anyio import CancelScope
from langchain_core.messages.ai import UsageMetadata

from onionskin.chains.answers import without_private
from onionskin.chains.errors import ModelError
from onionskin.chains.observers import StageEvent, TurnObserver, outcome_of
from onionskin.chains.turn import PreparedTurn, TurnReply, with_prefill
from onionskin.memory.answer_markup import visible_answer
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.errors import OnionskinError
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.session_lock import InterruptedTurnError
from onionskin.memory.store import BRIEF_SECONDS
from onionskin.memory.types.messages import Answer, Committed
from onionskin.memory.types.tasks import RecordUsageTask, Task

_log = logging.getLogger("onionskin.chains")
_KEEP_SECONDS = 10.0


@dataclass(slots=True)
class TurnStorage:
    """Stores one turn.

    Attributes:
        memory: The memory of the turn's profile.
        turn: The turn.
        recalled: What was recalled for it.
        observer: Observes the stages.
        clock: Seconds since the epoch.
        on_task: Called with each background task that the stored turn makes due.
        texts: What the model has answered so far.
        nonce: Under it, the turn is stored once, even if its commit is repeated.
    """

    memory: CombinedMemory
    turn: PreparedTurn
    recalled: RecallResult
    observer: TurnObserver
    clock: Callable[[], float]
    on_task: Callable[[Task], None] | None
    texts: list[str] = field(default_factory=list[str])
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))
    _answer: Answer | None = None
    _is_stored: bool = False

    async def store(
        self, answer: Answer | None, *, usage: UsageMetadata | None = None
    ) -> TurnReply:
        """Store the turn with its whole answer; None for nothing."""
        interrupted = answer is None or answer.interrupted
        text = answer.text if answer else ""
        if not self.turn.request.is_stored:
            self.observer.turn(self.memory.name, "temporary", self.recalled.sections)
            self._record_usage(secrets.token_hex(16), usage)
            return TurnReply(reply=text, interrupted=interrupted)
        texts = self.turn.message.private_texts
        self._answer = answer and without_private(answer, self.memory.privacy, texts)
        committed = await self._commit(self._answer, keeps_nonce=False)
        self._is_stored = True
        outcome = "interrupted" if interrupted else "stored"
        self.observer.turn(self.memory.name, outcome, self.recalled.sections)
        self._record_usage(committed.turn_id, usage)
        self._plan(self._answer, committed)
        return TurnReply(reply=text, turn_id=committed.turn_id, interrupted=interrupted)

    @asynccontextmanager
    async def kept_on_error(self) -> AsyncGenerator[None]:
        """Keeps what was said if the turn fails, is cancelled, or loses its client.

        The user's message is stored with the beginning of the answer, marked `interrupted`; or
        alone, if the model failed or has answered nothing yet. The session lock is released.
        """
        try:
            yield
        except BaseException as error:
            outcome = outcome_of(error)
            if not (self._is_stored and isinstance(error, InterruptedTurnError)):
                self.observer.turn(self.memory.name, outcome, ())
            kept = await self._keep() if self._is_kept(error) else None
            if kept is None:
                await self.memory.release(self.recalled)
            elif isinstance(error, ModelError):
                error.note_kept(kept.session_id, kept.turn_id)
            raise

    def _is_kept(self, error: BaseException) -> bool:
        """Whether what was said is kept after an error."""
        if self._is_stored or not self.turn.request.is_stored:
            return False
        if isinstance(error, ModelError) or not isinstance(error, Exception):
            return True
        return self._answer is None and not isinstance(error, OnionskinError)

    async def _keep(self) -> Committed | None:
        """Store the turn as far as it came; None if that failed.

        It runs in a task of its own, which no cancellation of the request reaches.
        """
        keeping = asyncio.create_task(self._store_partial(), name="turn-storage")
        with CancelScope(shield=True):
            await asyncio.wait({keeping}, timeout=_KEEP_SECONDS)
        return keeping.result() if keeping.done() else None

    async def _store_partial(self) -> Committed | None:
        answer, is_whole = self._answer, self._answer is not None
        instructions, texts = self.turn.request.instructions, self.turn.message.private_texts
        beginning = "" if is_whole else "".join(self.texts)
        beginning = visible_answer(with_prefill(instructions, beginning)) if beginning else ""
        if beginning.strip():
            begun = Answer(beginning, interrupted=True)
            answer = without_private(begun, self.memory.privacy, texts)
        try:
            # A commit that was cancelled may have arrived: its nonce prevents a second one.
            committed = await self._commit(answer, keeps_nonce=not is_whole)
        except OnionskinError as error:
            _log.warning("turn not kept", extra={"error": error.code})
            return None
        self._is_stored = True
        self._plan(answer, committed)
        return committed

    async def _commit(self, answer: Answer | None, *, keeps_nonce: bool) -> Committed:
        request = self.turn.request
        with self.observer.stage(StageEvent("remember", request.message, self.recalled)):
            return await self.memory.remember(
                self.recalled,
                answer,
                at=self.clock(),
                nonce=request.nonce or self.nonce,
                nonce_seconds=0 if request.nonce else BRIEF_SECONDS,
                keeps_nonce=keeps_nonce,
            )

    def _plan(self, answer: Answer | None, committed: Committed) -> None:
        if self.on_task:
            tasks = self.memory.plan_tasks(self.recalled, answer)
            hooks = self.memory.plan_hooks(self.turn.request.user, committed)
            for task in (*tasks, *hooks):
                self.on_task(task)

    def _record_usage(self, turn_id: str, usage: UsageMetadata | None) -> None:
        if self.on_task:
            tokens = usage["total_tokens"] if usage else 0
            self.on_task(RecordUsageTask(self.turn.request.user, turn_id, tokens))
