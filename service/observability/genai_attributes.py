"""Attributes of spans, as OpenTelemetry's semantic conventions for generative AI name them.

Source: semantic-conventions-genai, gen-ai-spans.md, sections Inference, Embeddings and Memory.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from onionskin.chains.observers import ModelCall, StageEvent
from onionskin.memory.retrieval.index.record_index import RecordHit
from onionskin.memory.types.records import Record

Value: TypeAlias = str | bool | int | float | Sequence[str]
Attributes: TypeAlias = dict[str, Value]
Operation: TypeAlias = Literal[
    "search_memory", "create_memory", "update_memory", "upsert_memory", "delete_memory"
]
_PROVIDERS = {
    "mistralai": "mistral_ai",
    "google_genai": "gcp.gen_ai",
    "google_vertexai": "gcp.vertex_ai",
    "aws": "aws.bedrock",
    "xai": "x_ai",
    "ibm": "ibm.watsonx.ai",
}
_OPTIONS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "seed": "gen_ai.request.seed",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
}
_ROLES = {"human": "user", "ai": "assistant"}


@dataclass(slots=True)
class MemoryOperation:
    """An operation on a user's records; what came of it is noted on it while it is under way.

    Attributes:
        count: how many records it is about.
        record_id: the one that it is about, where it is about one.
        query: what is looked for.
        found: what was kept, changed or found.
    """

    name: Operation
    count: int | None = None
    record_id: str = ""
    query: str = ""
    found: Sequence[Record | RecordHit] = ()


def asked(call: ModelCall) -> Attributes:
    """What is known of a call of the model when it begins."""
    made: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider_of(call.model),
        "gen_ai.request.model": model_name(call.model),
        "onionskin.purpose": call.purpose,
    }
    if call.streams:
        made["gen_ai.request.stream"] = True
    if call.session_id:
        made["gen_ai.conversation.id"] = call.session_id
    for option, name in _OPTIONS.items():
        if isinstance(value := call.options.get(option), int | float):
            made[name] = value
    return made


def answered(call: ModelCall) -> Attributes:
    """What is known of it once it ended, but for texts."""
    made: Attributes = {}
    if call.first_piece_seconds is not None:
        made["gen_ai.response.time_to_first_chunk"] = call.first_piece_seconds
    message = call.message
    if message is None:
        return made
    metadata: dict[str, Any] = message.response_metadata
    if reason := metadata.get("finish_reason"):
        made["gen_ai.response.finish_reasons"] = (str(reason),)
    if model := metadata.get("model_name"):
        made["gen_ai.response.model"] = str(model)
    if response_id := metadata.get("id"):
        made["gen_ai.response.id"] = str(response_id)
    if usage := message.usage_metadata:
        made["gen_ai.usage.input_tokens"] = usage["input_tokens"]
        made["gen_ai.usage.output_tokens"] = usage["output_tokens"]
        if cached := usage.get("input_token_details", {}).get("cache_read"):
            made["gen_ai.usage.cache_read.input_tokens"] = cached
        if thought := usage.get("output_token_details", {}).get("reasoning"):
            made["gen_ai.usage.reasoning.output_tokens"] = thought
    return made


def said(call: ModelCall) -> Attributes:
    """The texts of a call: only for those who asked for them."""
    made: Attributes = {"gen_ai.input.messages": _json([_message(one) for one in call.prompt])}
    if call.message:
        reason = call.message.response_metadata.get("finish_reason") or "stop"
        output = _message(call.message) | {"finish_reason": str(reason)}
        made["gen_ai.output.messages"] = _json([output])
    return made


def recalled(stage: StageEvent, *, content: bool) -> Attributes:
    """What a turn's recall found."""
    if stage.recall is None:
        return {}
    sections = stage.recall.sections
    hits = [hit for section in sections for hit in section.hits]
    records = [record for section in sections for record in section.records]
    made: Attributes = {
        "gen_ai.conversation.id": stage.recall.turn.snapshot.session.id,
        "gen_ai.memory.record.count": len(hits) + len(records),
        "onionskin.profile": stage.recall.profile,
    }
    if content:
        shown = [
            {"id": hit.entry.id, "content": hit.entry.message.content, "score": hit.score}
            for hit in hits
        ]
        made["gen_ai.memory.query.text"] = stage.text
        made["gen_ai.memory.records"] = _json(shown + [_record(one) for one in records])
    return made


def operated(operation: MemoryOperation, *, content: bool) -> Attributes:
    """What came of an operation on records."""
    made: Attributes = {}
    count = len(operation.found) if operation.count is None else operation.count
    made["gen_ai.memory.record.count"] = count
    if operation.record_id:
        made["gen_ai.memory.record.id"] = operation.record_id
    if content and operation.query:
        made["gen_ai.memory.query.text"] = operation.query
    if content and operation.found:
        made["gen_ai.memory.records"] = _json([_record(one) for one in operation.found])
    return made


_CORE = "langchain_core"


def provider_of(model: BaseChatModel) -> str:
    """The provider, as the conventions call it, by the package that the model is of."""
    packages = [made.__module__.partition(".")[0] for made in type(model).__mro__]
    providers = [one for one in packages if one.startswith("langchain_") and one != _CORE]
    package = next(iter(providers), packages[0]).removeprefix("langchain_")
    return "onionskin" if package == "chains" else _PROVIDERS.get(package, package)


def model_name(model: BaseChatModel) -> str:
    """What the model is called by its provider."""
    named = getattr(model, "model_name", None) or getattr(model, "model", None)
    return str(named or type(model).__name__)


def _record(one: Record | RecordHit) -> dict[str, Any]:
    if isinstance(one, RecordHit):
        return _record(one.record) | {"score": one.hit.score}
    return {"id": one.id, "content": one.content}


def _message(message: BaseMessage) -> dict[str, Any]:
    parts: list[Mapping[str, Any]] = []
    if text := str(message.text):
        parts.append({"type": "text", "content": text})
    for call in message.tool_calls if isinstance(message, AIMessage) else ():
        named = {"id": call["id"], "name": call["name"], "arguments": call["args"]}
        parts.append({"type": "tool_call"} | named)
    kind = message.type.removesuffix("MessageChunk").lower()
    return {"role": _ROLES.get(kind, kind), "parts": parts}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
