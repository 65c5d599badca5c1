"""Traced where there are traces, else plain, and then at no cost at all."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from chains.observing import Observer, Observers
from memory.due import Due
from memory.learning import Learner
from memory.memories import Memories
from memory.recall.embedding import Embedder
from memory.store import RedisStore

if TYPE_CHECKING:
    from service.tracing.spans import Tracing


class Collaborators:
    """Makes what the service is made of.

    Args:
        tracing: makes spans, if any are made.
        observer: told of turns and model calls besides.
    """

    def __init__(self, tracing: "Tracing | None", observer: Observer) -> None:
        self._tracing = tracing
        self.observer = Observers(observer, tracing) if tracing else observer

    def embedder(self, inner: Embedder) -> Embedder:
        """The embedder."""
        if self._tracing is None:
            return inner
        from service.tracing.traced import TracedEmbedder  # noqa: PLC0415 - of an extra

        return TracedEmbedder(self._tracing, inner)

    def store(self, *args: Any, **more: Any) -> RedisStore:
        """A `RedisStore` of these arguments."""
        if self._tracing is None:
            return RedisStore(*args, **more)
        from service.tracing.traced import TracedStore  # noqa: PLC0415 - of an extra

        return TracedStore(self._tracing, *args, **more)

    def memories(self, *args: Any, **more: Any) -> Memories:
        """`Memories` of these arguments."""
        if self._tracing is None:
            return Memories(*args, **more)
        from service.tracing.traced import TracedMemories  # noqa: PLC0415 - of an extra

        return TracedMemories(self._tracing, *args, **more)

    def learner(self, *args: Any, **more: Any) -> Learner:
        """A `Learner` of these arguments."""
        if self._tracing is None:
            return Learner(*args, **more)
        from service.tracing.traced import TracedLearner  # noqa: PLC0415 - of an extra

        return TracedLearner(self._tracing, *args, **more)

    def job(self, due: Due) -> AbstractContextManager[object]:
        """Stands around a job, which is in the trace of the request that made it due."""
        if self._tracing is None:
            return nullcontext()
        kind = type(due).__name__
        return self._tracing.within(f"job {kind}", {"strata.job": kind})
