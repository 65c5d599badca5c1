"""Answers in the shape of OpenAI's chat completions."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk

from chains.turn import ChatReply


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all parts of one answer have in common."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, reply: ChatReply) -> dict[str, Any]:
        """A whole answer."""
        calls = _calls(reply.message)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": reply.reply if reply.reply or not calls else None,
            "refusal": None,
        }
        if calls:
            message["tool_calls"] = calls
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": finish_reason(reply),
        }
        return self._with("chat.completion", choices=[choice], usage=_usage(reply), **_where(reply))

    def chunk(self, delta: Mapping[str, Any]) -> dict[str, Any]:
        """A piece of a streamed answer."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        return self._with("chat.completion.chunk", choices=[choice])

    def last_chunk(self, reply: ChatReply) -> dict[str, Any]:
        """The piece that ends a streamed answer: why it ended, and where it is stored."""
        finish = finish_reason(reply)
        choice: dict[str, Any] = {
            "index": 0,
            "delta": {},
            "logprobs": None,
            "finish_reason": finish,
        }
        return self._with("chat.completion.chunk", choices=[choice], **_where(reply))

    def usage(self, reply: ChatReply) -> dict[str, Any]:
        """The last piece of a stream that is to tell its usage."""
        return self._with("chat.completion.chunk", choices=[], usage=_usage(reply))

    def _with(self, kind: str, **more: Any) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            **more,
        }


def finish_reason(reply: ChatReply) -> str:
    """Why the answer ended: as the model said, else by what it holds."""
    if reply.interrupted:
        return "stop"
    if _calls(reply.message):
        return "tool_calls"
    metadata: dict[str, Any] = reply.message.response_metadata if reply.message else {}
    return str(metadata.get("finish_reason") or "stop")


def delta_of(piece: ChatReply) -> dict[str, Any]:
    """What a piece of a stream adds; empty for nothing."""
    delta: dict[str, Any] = {"content": piece.reply} if piece.reply else {}
    message = piece.message
    if isinstance(message, AIMessageChunk) and message.tool_call_chunks:
        delta["tool_calls"] = [
            {
                "index": call.get("index") or 0,
                **({"id": call["id"], "type": "function"} if call["id"] else {}),
                "function": {
                    **({"name": call["name"]} if call["name"] else {}),
                    "arguments": call["args"] or "",
                },
            }
            for call in message.tool_call_chunks
        ]
    return delta


def _where(reply: ChatReply) -> dict[str, Any]:
    """The session and the turn, in the field that OpenAI has for notes of one's own."""
    where = {"session_id": reply.session_id, "turn_id": reply.turn_id}
    noted = {name: value for name, value in where.items() if value}
    return {"metadata": noted} if noted else {}


def _calls(message: AIMessage | None) -> list[dict[str, Any]]:
    return [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
        }
        for call in (message.tool_calls if message else [])
    ]


def _usage(reply: ChatReply) -> dict[str, int] | None:
    usage = reply.usage
    if usage is None:
        return None
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
    }
