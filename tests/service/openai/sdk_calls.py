"""What tests say through OpenAI's own SDK, and what the model was asked for it."""

import json
from typing import Any

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam as Param

from tests.openai_server import Request
from tests.service.conftest import Backend


class EagerOpenAI(OpenAI):
    """The SDK as it is, but for the half second that it waits before it tries again."""

    def _calculate_retry_timeout(self, *_: Any, **__: Any) -> float:
        return 0.0


def ask(client: OpenAI, user: str, *said: Param, **more: Any) -> Any:
    create: Any = client.chat.completions.create
    return create(**{"model": "layered", "user": user, "messages": list(said), **more})


def answer_of(client: OpenAI, user: str, *said: Param, **more: Any) -> str:
    return str(ask(client, user, *said, **more).choices[0].message.content)


def from_user(text: str) -> Param:
    return {"role": "user", "content": text}


def from_assistant(text: str) -> Param:
    return {"role": "assistant", "content": text}


def answers_asked(backend: Backend, since: int = 0) -> int:
    """How often the model was asked for an answer; summaries of sessions are none."""
    return sum(map(_is_for_an_answer, backend.model.requests[since:]))


def asked_last(backend: Backend) -> dict[str, Any]:
    """What the model was last asked for an answer with."""
    return next(filter(_is_for_an_answer, reversed(backend.model.requests))).body


def _is_for_an_answer(request: Request) -> bool:
    return "new_lines" not in json.dumps(request.body)


def transcripts(backend: Backend, user: str) -> list[list[str]]:
    """What each session of a user holds, the latest first."""
    found: list[list[str]] = []
    for session in backend.sessions(user):
        url = f"/v1/users/{user}/sessions/{session['session_id']}/messages"
        page = backend.client.get(url, params={"limit": 200}).json()
        found.append([one["content"] for one in page["messages"]])
    return found
