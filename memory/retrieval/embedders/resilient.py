"""A remote embedder, guarded: left alone while it fails, and refused where it lies."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from onionskin.memory.circuit_breaker import CircuitBreaker
from onionskin.memory.errors import EmbedderError, EmbedderUnavailableError
from onionskin.memory.retrieval.embedders.base import Embedder
from onionskin.memory.store import Connection
from onionskin.memory.store.deployment import settled_dimensions
from onionskin.memory.types.messages import Vectors


class ResilientEmbedder:
    """An embedder behind a circuit breaker, whose vectors are all of one length for ever.

    Args:
        embedder: the provider's.
        circuit: of the provider.
        connection: to the Redis that remembers the length.
        tell: told how each call ended: `embedded`, `cancelled`, or an error's code.
    """

    def __init__(
        self,
        embedder: Embedder,
        circuit: CircuitBreaker,
        connection: Connection,
        tell: Callable[[str], None],
    ) -> None:
        self._embedder, self._circuit, self._tell = embedder, circuit, tell
        self._connection, self._dimensions = connection, 0
        self.tag, self.local = embedder.tag, embedder.local

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """As the embedder does it.

        Raises:
            EmbedderUnavailableError: it failed too often and is left alone for a while.
            EmbedderError: it failed, or its vectors are of another length than they were.
        """
        wait = self._circuit.admit()
        if wait is not None:
            self._tell(EmbedderUnavailableError.code)
            raise EmbedderUnavailableError(wait)
        began = time.monotonic()
        try:
            vectors = await self._embedder.embed(texts)
            await self._check(vectors)
        except asyncio.CancelledError:
            self._circuit.record_cancellation(timedelta(seconds=time.monotonic() - began))
            self._tell("cancelled")
            raise
        except EmbedderError as error:
            self._circuit.record_failure()
            self._tell(error.code)
            raise
        self._circuit.record_success()
        self._tell("embedded")
        return vectors

    async def _check(self, vectors: Vectors) -> None:
        if not len(vectors):
            return
        seen = vectors.shape[1]
        if not self._dimensions:
            self._dimensions = await settled_dimensions(self._connection, self.tag, seen)
        if seen != self._dimensions:
            raise EmbedderError(
                f"The embedder {self.tag!r} answered with vectors of {seen} dimensions; those that "
                f"are stored have {self._dimensions}. Nothing is mixed: give the new one a name of "
                "its own, and run `onionskin reindex`."
            )
