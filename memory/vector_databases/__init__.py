"""External vector databases for the vector layer, through LangChain's vector stores."""

from onionskin.memory.vector_databases.base import VectorDatabase, open_vector_database
from onionskin.memory.vector_databases.mirror import VectorDatabaseMirror

__all__ = [
    "VectorDatabase",
    "VectorDatabaseMirror",
    "open_vector_database",
]
