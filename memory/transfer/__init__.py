"""Export of a user's data, its restoration, and import of other conversations."""

from onionskin.memory.transfer.exporter import export_user
from onionskin.memory.transfer.importer import Importer, ImportReport
from onionskin.memory.transfer.restorer import Restorer
from onionskin.memory.transfer.upload import UploadHandler

__all__ = [
    "ImportReport",
    "Importer",
    "Restorer",
    "UploadHandler",
    "export_user",
]
