"""Which Onionskin this is."""

from importlib.metadata import version

VERSION = version("onionskin")
