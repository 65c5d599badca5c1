"""Retrieval: embedding, indexes and ranking of a user's messages and records.

Exports are loaded on first use, so that a program that needs only an embedder does not load FAISS.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onionskin.memory.retrieval.conversation_search import (
        ConversationHit,
        ConversationHits,
        ConversationQuery,
        ConversationSearch,
    )
    from onionskin.memory.retrieval.embedders.base import (
        Embedder,
        embed_in_batches,
        embed_with_timeout,
    )
    from onionskin.memory.retrieval.embedders.embedding_cache import CachedEmbedder
    from onionskin.memory.retrieval.embedders.providers import (
        EmbedderOptions,
        LangChainEmbedder,
        StaticEmbedder,
        open_embedder,
        passage_encoder,
    )
    from onionskin.memory.retrieval.embedders.resilient import ResilientEmbedder
    from onionskin.memory.retrieval.embedding_backfill import EMBEDDING, embed_missing
    from onionskin.memory.retrieval.index.index_cache import CachedIndex, IndexCache
    from onionskin.memory.retrieval.index.record_index import RecordHit, RecordIndex
    from onionskin.memory.retrieval.index.user_index import UserIndex, VectorHit
    from onionskin.memory.retrieval.language.analyzer import Analyzer, TextPipeline
    from onionskin.memory.retrieval.prefetch import QueryPrefetcher
    from onionskin.memory.retrieval.ranking.ranker import is_compiled
    from onionskin.memory.retrieval.ranking.selection import EVERYTHING, Selection

__all__ = [
    "EMBEDDING",
    "EVERYTHING",
    "Analyzer",
    "CachedEmbedder",
    "CachedIndex",
    "ConversationHit",
    "ConversationHits",
    "ConversationQuery",
    "ConversationSearch",
    "Embedder",
    "EmbedderOptions",
    "IndexCache",
    "LangChainEmbedder",
    "QueryPrefetcher",
    "RecordHit",
    "RecordIndex",
    "ResilientEmbedder",
    "Selection",
    "StaticEmbedder",
    "TextPipeline",
    "UserIndex",
    "VectorHit",
    "embed_in_batches",
    "embed_missing",
    "embed_with_timeout",
    "is_compiled",
    "open_embedder",
    "passage_encoder",
]

_MODULES = {
    "conversation_search": (
        *("ConversationHit", "ConversationHits", "ConversationQuery", "ConversationSearch"),
    ),
    "embedders.base": ("Embedder", "embed_in_batches", "embed_with_timeout"),
    "embedders.embedding_cache": ("CachedEmbedder",),
    "embedders.providers": (
        *("EmbedderOptions", "LangChainEmbedder", "StaticEmbedder"),
        *("open_embedder", "passage_encoder"),
    ),
    "embedders.resilient": ("ResilientEmbedder",),
    "embedding_backfill": ("EMBEDDING", "embed_missing"),
    "index.index_cache": ("CachedIndex", "IndexCache"),
    "index.record_index": ("RecordHit", "RecordIndex"),
    "index.user_index": ("UserIndex", "VectorHit"),
    "language.analyzer": ("Analyzer", "TextPipeline"),
    "prefetch": ("QueryPrefetcher",),
    "ranking.ranker": ("is_compiled",),
    "ranking.selection": ("EVERYTHING", "Selection"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load an export (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    exported: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = exported
    return exported
