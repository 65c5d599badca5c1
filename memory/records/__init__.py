"""Long-term memories: create, search and extract records, and trace where they come from."""

from onionskin.memory.records.consolidation import RecordConsolidator, RecordMerger
from onionskin.memory.records.extraction import ExtractedRecord, ExtractionPolicy
from onionskin.memory.records.provenance import Provenance, find_provenance
from onionskin.memory.records.service import RecordService
from onionskin.memory.records.source_removal import (
    SessionDeletion,
    delete_session,
    remove_abandoned,
    writes_without_sources,
)

__all__ = [
    "ExtractedRecord",
    "ExtractionPolicy",
    "Provenance",
    "RecordConsolidator",
    "RecordMerger",
    "RecordService",
    "SessionDeletion",
    "delete_session",
    "find_provenance",
    "remove_abandoned",
    "writes_without_sources",
]
