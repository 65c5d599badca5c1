"""Onionskin as LangChain and LangGraph classes: history, vector store, checkpointer, store."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onionskin.memory.langchain.chat_history import OnionskinHistory
    from onionskin.memory.langchain.checkpointer import OnionskinSaver
    from onionskin.memory.langchain.client import Onionskin, onionskin_in_thread, open_onionskin
    from onionskin.memory.langchain.embeddings import OnionskinEmbeddings
    from onionskin.memory.langchain.faiss_files import export_faiss, import_faiss
    from onionskin.memory.langchain.langgraph_store import OnionskinStore
    from onionskin.memory.langchain.vectorstore import OnionskinVectorStore
else:
    _MODULES = {
        "Onionskin": "client",
        "OnionskinEmbeddings": "embeddings",
        "OnionskinHistory": "chat_history",
        "OnionskinSaver": "checkpointer",
        "OnionskinStore": "langgraph_store",
        "OnionskinVectorStore": "vectorstore",
        "export_faiss": "faiss_files",
        "import_faiss": "faiss_files",
        "onionskin_in_thread": "client",
        "open_onionskin": "client",
    }

    def __getattr__(name: str) -> object:
        """Import an exported name on first use, so that importing a submodule stays cheap."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


__all__ = [
    "Onionskin",
    "OnionskinEmbeddings",
    "OnionskinHistory",
    "OnionskinSaver",
    "OnionskinStore",
    "OnionskinVectorStore",
    "export_faiss",
    "import_faiss",
    "onionskin_in_thread",
    "open_onionskin",
]
