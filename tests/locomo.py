"""LoCoMo's conversations as import lines, and its questions with the turns that hold the evidence.

Source: Maharana et al., "Evaluating Very Long-Term Conversational Memory of LLM Agents", ACL 2024.
The data are not part of this project; they are looked for at ONIONSKIN_LOCOMO, or in
`shared/locomo/locomo_dev.json` beside the repository.
"""

import json
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.conftest import repository


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the texts of the turns that answer it."""

    text: str
    category: int
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation: `lines` are JSON lines for the import."""

    id: str
    lines: bytes
    turns: int
    questions: tuple[Question, ...]


def locomo_file() -> Path:
    """Where the data set is, if it is there."""
    beside = repository().parent / "shared" / "locomo" / "locomo_dev.json"
    return Path(os.environ.get("ONIONSKIN_LOCOMO", beside))


def load_locomo(path: Path) -> list[Conversation]:
    """Every conversation of a LoCoMo file."""
    return [_conversation(sample) for sample in json.loads(path.read_text())]


def _conversation(sample: dict[str, Any]) -> Conversation:
    conversation: dict[str, Any] = sample["conversation"]
    lines: list[str] = []
    texts: dict[str, str] = {}
    number = 1
    while f"session_{number}_date_time" in conversation:
        date = f"{conversation[f'session_{number}_date_time']} +0000"
        time = datetime.strptime(date, "%I:%M %p on %d %B, %Y %z")
        for turn in conversation.get(f"session_{number}", []):
            content = turn["text"]
            if caption := turn.get("blip_caption"):
                content = f"{content} [shared a picture: {caption}]".strip()
            texts[turn["dia_id"]] = content
            line = {
                "author": turn["speaker"],
                "content": content,
                "time": time.isoformat(),
                "session": f"session {number}",
            }
            lines.append(json.dumps(line, ensure_ascii=False))
        number += 1
    questions = [_question(asked, texts) for asked in sample["qa"]]
    return Conversation(
        sample["sample_id"],
        "\n".join(lines).encode(),
        len(lines),
        tuple(question for question in questions if question.evidence),
    )


def _question(asked: dict[str, Any], texts: dict[str, str]) -> Question:
    named = (found for text in asked["evidence"] for found in re.findall(r"D\d+:\d+", text))
    evidence = dict.fromkeys(texts[turn] for turn in named if turn in texts)
    return Question(asked["question"], asked["category"], tuple(evidence))
