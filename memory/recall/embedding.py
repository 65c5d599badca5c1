"""What an embedder is to the rest of Strata."""

from collections.abc import Sequence
from typing import Protocol

from memory.types import Vectors


class Embedder(Protocol):
    """Texts to unit vectors. Vectors of two embedders are never compared."""

    @property
    def tag(self) -> str:
        """What tells this embedder's vectors from another's, stored with each."""
        ...

    @property
    def local(self) -> bool:
        """Whether embedding takes no network and well under a millisecond a text."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed `n` texts: `(n, dim)` float32, rows of unit length.

        Raises:
            EmbedderError: the provider failed or answered nonsense.
        """
        ...
