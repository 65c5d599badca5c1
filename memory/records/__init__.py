"""Long-term memories: create, search and extract records, and trace where they come from."""

from onionskin.memory.records.consolidation import RecordConsolidator, RecordMerger
from onionskin.memory.records.extraction import ExtractedRecord, ExtractionPolicy
from onionskin.memory.records.provenance import Provenance, find_provenance
from onionskin.memory.records.service import RecordService

__all__ = [
    "ExtractedRecord",
    "ExtractionPolicy",
    "Provenance",
    "RecordConsolidator",
    "RecordMerger",
    "RecordService",
    "find_provenance",
]
