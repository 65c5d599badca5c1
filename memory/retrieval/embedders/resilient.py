"""A remote embedder behind a circuit breaker, checked for a constant dimension."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from onionskin.memory.circuit_breaker import CircuitBreaker
from onionskin.memory.errors import EmbedderError, EmbedderUnavailableError
from onionskin.memory.retrieval.embedders.base import Embedder
from onionskin.memory.store import Connection, Deployment
from onionskin.memory.types.messages import Vectors


class ResilientEmbedder:
    """Wraps an embedder with a circuit breaker and a check of its vectors' dimension.

    Args:
        embedder: The provider's embedder.
        circuit: The provider's circuit breaker.
        connection: Connection to the Redis that stores the dimension.
        on_result: Called with each call's result: `embedded`, `cancelled`, or an error code.
    """

    def __init__(
        self,
        embedder: Embedder,
        circuit: CircuitBreaker,
        connection: Connection,
        on_result: Callable[[str], None],
    ) -> None:
        self._embedder, self._circuit, self._on_result = embedder, circuit, on_result
        self._connection, self._dimensions = connection, 0
        self.tag, self.local = embedder.tag, embedder.local

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """`(n, dim)` float32, rows of unit length.

        Raises:
            EmbedderUnavailableError: The circuit breaker is open.
            EmbedderError: The embedder failed, or its dimension has changed.
        """
        wait = self._circuit.admit()
        if wait is not None:
            self._on_result(EmbedderUnavailableError.code)
            raise EmbedderUnavailableError(wait)
        started = time.monotonic()
        try:
            vectors = await self._embedder.embed(texts)
            await self._check(vectors)
        except asyncio.CancelledError:
            self._circuit.record_cancellation(timedelta(seconds=time.monotonic() - started))
            self._on_result("cancelled")
            raise
        except EmbedderError as error:
            self._circuit.record_failure()
            self._on_result(error.code)
            raise
        self._circuit.record_success()
        self._on_result("embedded")
        return vectors

    async def _check(self, vectors: Vectors) -> None:
        if not len(vectors):
            return
        dimensions = vectors.shape[1]
        if not self._dimensions:
            self._dimensions = await Deployment(self._connection).dimensions(self.tag, dimensions)
        if dimensions != self._dimensions:
            raise EmbedderError(
                f"The embedder {self.tag!r} answered with vectors of {dimensions} dimensions; the "
                f"stored ones have {self._dimensions}. Give the new embedder a name of its own, "
                "and run `onionskin reindex`."
            )
