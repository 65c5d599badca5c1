"""An extractor over a real store, with a model of scripted answers."""

import json
from dataclasses import dataclass, field
from typing import Any

from onionskin.chains.conversation import ConversationChain, TurnRequest
from onionskin.chains.extractor import Extractor
from onionskin.memory.records.extraction import ExtractionPolicy
from onionskin.memory.records.service import RecordService
from onionskin.memory.types.messages import User
from onionskin.memory.types.records import Record
from tests.openai_server import OpenAIServer

POLICY = ExtractionPolicy(messages=4, batch=8)


def note(line: int, content: str, **more: Any) -> dict[str, Any]:
    """One extracted record, as the model returns it."""
    plain: dict[str, Any] = {
        "kind": "fact",
        "entities": [],
        "importance": 0.5,
        "same_as": None,
        "replaces": [],
    }
    return {"line": line, "content": content, **plain, **more}


@dataclass
class Notebook:
    """An extractor and the server of its model."""

    server: OpenAIServer
    chain: ConversationChain
    extractor: Extractor
    memories: RecordService
    user: User
    outcomes: list[str]
    notes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    session_id: str = ""

    async def say(self, *texts: str) -> None:
        self.server.reply = lambda _: "I see."
        for text in texts:
            reply = await self.chain.ainvoke(TurnRequest(self.user, text, self.session_id or None))
            self.session_id = reply.session_id or self.session_id

    async def extract(self, *notes: dict[str, Any], final: bool = True) -> int:
        answer = json.dumps({"memories": notes})
        self.server.reply = lambda _: answer
        return await self.extractor.extract(self.user, self.session_id, POLICY, final=final)

    async def records(self) -> dict[str, Record]:
        return {record.content: record for record in await self.memories.index(self.user)}

    def prompt(self) -> str:
        return "\n".join(text for _, text in self.server.requests[-1].messages)


async def not_counted(_user: User, _tokens: int) -> None:
    """Do not count the tokens."""
