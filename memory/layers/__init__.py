"""Memory layers: each adds one section to the prompt of a turn."""

from onionskin.memory.layers.base import Layer, RecallResult, TurnContext
from onionskin.memory.layers.facts import FactsLayer
from onionskin.memory.layers.langchain_classic import ClassicLayer
from onionskin.memory.layers.summary import SummaryLayer
from onionskin.memory.layers.transcript import SessionTranscript
from onionskin.memory.layers.vector import VectorLayer
from onionskin.memory.layers.vector_database import VectorDatabaseLayer
from onionskin.memory.layers.window import WindowLayer
from onionskin.memory.types.snapshot import Section

__all__ = [
    "ClassicLayer",
    "FactsLayer",
    "Layer",
    "RecallResult",
    "Section",
    "SessionTranscript",
    "SummaryLayer",
    "TurnContext",
    "VectorDatabaseLayer",
    "VectorLayer",
    "WindowLayer",
]
