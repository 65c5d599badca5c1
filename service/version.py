"""Which Strata this is."""

from importlib.metadata import version

VERSION = version("strata-memory")
