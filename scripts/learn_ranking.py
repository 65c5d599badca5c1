"""Learn the weights of recall's parts and write `memory/retrieval/ranking/weights.toml`.

    .venv/bin/python scripts/learn_ranking.py ../shared/locomo/locomo_dev.json

Takes conversations with questions, in LoCoMo's format or the plain one (`docs/experiments.md`).
Prints recall cross-validated by conversation: each is asked with weights learned from the others.
The weights that are written are learned from all of them.
"""

import argparse
import asyncio
from pathlib import Path

import numpy as np

from onionskin.experiments.conversations import read_conversations
from onionskin.experiments.learning import examples, learn, learn_without
from onionskin.experiments.recall import Answered, ask, index_conversation
from onionskin.memory.retrieval.embedders.providers import StaticEmbedder
from onionskin.memory.retrieval.language.analyzer import TextPipeline

_WEIGHTS = Path(__file__).parent.parent / "memory" / "retrieval" / "ranking" / "weights.toml"
_TOP_K = (5, 10, 25)


async def main() -> None:
    """Learn, cross-validate, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--language", default="english")
    options = parser.parse_args()
    embedder, tongue = StaticEmbedder(), TextPipeline.for_language(options.language)
    conversations = read_conversations(options.data)
    indexed = [await index_conversation(one, embedder, tongue) for one in conversations]
    taught = examples(indexed)
    without = learn_without(conversations, taught, lambda text: print(f"==> {text}"))
    answered: list[Answered] = []
    for one in indexed:
        one.index.ranker.weights = without[one.conversation.id]
        answered += ask(one, _TOP_K)
    recall = 100 * np.mean([one.recall for one in answered], axis=0)
    print("    " + ", ".join(f"R@{k} {r:.1f}" for k, r in zip(_TOP_K, recall, strict=True)))
    lines = [
        "# What each part of a score weighs, by language; its parts: memory/retrieval/ranking/features.py",
        "# Learned by scripts/learn_ranking.py from five conversations in English, those of",
        "# LoCoMo's development set; cross-validated by conversation: "
        + ", ".join(f"R@{k} {r:.1f}" for k, r in zip(_TOP_K, recall, strict=True)),
        "",
        f"[{options.language}.parts]",
        *(f'"{name}" = {weight}' for name, weight in learn(taught).parts.items()),
    ]
    _WEIGHTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
