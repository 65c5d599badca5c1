"""Real conversations, imported and asked about over HTTP: does the evidence reach the prompt?"""

import random
from pathlib import Path

import httpx
import pytest

from onionskin.chains.prompt import EARLIER, RECALLED
from onionskin.chains.quoting import inside, quoted_lines
from tests.locomo import Conversation, load_locomo, locomo_file
from tests.openai_server import OpenAIServer, Request
from tests.services import Service, running_service

_QUESTIONS = 20
_LEAST_SHARE = 0.60


@pytest.mark.skipif(not locomo_file().exists(), reason="the LoCoMo data set is not here")
async def test_the_evidence_of_real_questions_reaches_the_prompt(tmp_path: Path) -> None:
    async with OpenAIServer() as model:
        model.reply = lambda _: "I see."
        settings = {"ONIONSKIN_MODEL_BASE_URL": model.base_url, "ONIONSKIN_MODEL": "test-model"}
        with running_service(tmp_path, **settings) as service:
            shares = [
                share
                for conversation in load_locomo(locomo_file())
                for share in await _ask(service, model, conversation)
            ]
    mean = sum(shares) / len(shares)
    print(f"evidence in the prompt: {mean:.1%} of {len(shares)} questions' turns")
    assert len(shares) == 5 * _QUESTIONS
    assert mean > _LEAST_SHARE


async def _ask(service: Service, model: OpenAIServer, conversation: Conversation) -> list[float]:
    asked = random.Random(0).sample(conversation.questions, _QUESTIONS)
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        response = await client.post(
            f"/v1/users/{conversation.id}/import",
            params={"import_id": conversation.id},
            content=conversation.lines,
        )
        assert response.json()["messages"] == conversation.turns
        shares: list[float] = []
        for question in asked:
            body = {"user_id": conversation.id, "message": question.text}
            (await client.post("/v1/chat", json=body)).raise_for_status()
            turns = [one for one in model.requests if _asks(one, question.text)]
            shown = _shown(turns[-1])
            found = sum(text in shown for text in question.evidence)
            shares.append(found / len(question.evidence))
    return shares


def _asks(request: Request, text: str) -> bool:
    return request.messages[-1][1].endswith(text)


def _shown(request: Request) -> set[str]:
    system, last = request.messages[0][1], request.messages[-1][1]
    quoted = quoted_lines(inside(EARLIER, system)) + quoted_lines(inside(RECALLED, last))
    window = {text for _, text in request.messages[1:-1]}
    return {line.text for line in quoted} | window
