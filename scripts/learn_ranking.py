"""Learn the ranking weights and write `memory/retrieval/ranking/weights.toml`.

    .venv/bin/python scripts/learn_ranking.py ../shared/locomo/locomo_dev.json

Reads conversations with questions, in LoCoMo's format or the plain one (`docs/experiments.md`).
Prints recall cross-validated by conversation: each is ranked with weights learned from the others.
The weights that are written are learned from all conversations.
"""

import argparse
import asyncio
from pathlib import Path

import numpy as np

from onionskin.experiments.conversations import read_conversations
from onionskin.experiments.recall import QuestionResult, index_conversation, search_all
from onionskin.experiments.weight_learning import examples, learn, learn_without
from onionskin.memory.retrieval import StaticEmbedder, TextPipeline

_WEIGHTS = Path(__file__).parent.parent / "memory" / "retrieval" / "ranking" / "weights.toml"
_TOP_K = (5, 10, 25)


async def main() -> None:
    """Cross-validate, learn, and write the weights."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="file of conversations with questions")
    parser.add_argument("--language", default="english", help="language of the conversations")
    options = parser.parse_args()
    embedder, text_pipeline = StaticEmbedder(), TextPipeline.for_language(options.language)
    conversations = read_conversations(options.data)
    indexed = [
        await index_conversation(conversation, embedder, text_pipeline)
        for conversation in conversations
    ]
    training = examples(indexed)
    weights = learn_without(conversations, training, lambda text: print(f"==> {text}"))
    results: list[QuestionResult] = []
    for conversation in indexed:
        conversation.index.ranker.weights = weights[conversation.conversation.id]
        results += search_all(conversation, _TOP_K)
    recall = 100 * np.mean([result.recall for result in results], axis=0)
    figures = ", ".join(f"R@{k} {share:.1f}" for k, share in zip(_TOP_K, recall, strict=True))
    print(f"    {figures}")
    lines = [
        "# Weights of the ranking features, by language; see memory/retrieval/ranking/features.py.",
        "# Learned by scripts/learn_ranking.py from five conversations in English, LoCoMo's",
        f"# development set; cross-validated by conversation: {figures}",
        "",
        f"[{options.language}.parts]",
        *(f'"{name}" = {weight}' for name, weight in learn(training).features.items()),
    ]
    _WEIGHTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
