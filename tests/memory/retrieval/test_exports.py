"""`onionskin.memory.retrieval` exports its public names, each loaded on first use."""

import subprocess
import sys

import pytest

from onionskin.memory import retrieval


@pytest.mark.parametrize("name", retrieval.__all__)
def test_each_export_is_found(name: str) -> None:
    assert getattr(retrieval, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'views'"):
        retrieval.__getattr__("views")


def test_an_embedder_alone_does_not_load_faiss() -> None:
    code = (
        "import sys; from onionskin.memory.retrieval import StaticEmbedder; "
        "sys.exit('faiss' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
