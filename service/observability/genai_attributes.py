"""Span attributes under the names of OpenTelemetry's semantic conventions for generative AI.

Source: semantic-conventions-genai, gen-ai-spans.md, sections Inference, Embeddings and Memory.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from onionskin.chains.observers import ModelCall, StageEvent
from onionskin.memory.retrieval import RecordHit
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
_CORE = "langchain_core"


@dataclass(slots=True)
class MemoryOperation:
    """An operation on a user's records; its result is set while the span is open.

    Attributes:
        count: Number of records; None for the number of `records`.
        record_id: The record, where the operation concerns one.
        query: The text of a search.
        records: The records that were written or found.
    """

    name: Operation
    count: int | None = None
    record_id: str = ""
    query: str = ""
    records: Sequence[Record | RecordHit] = ()


def request_attributes(call: ModelCall) -> Attributes:
    """Attributes of a model call at its start."""
    attributes: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider_of(call.model),
        "gen_ai.request.model": model_name(call.model),
        "onionskin.purpose": call.purpose,
    }
    if call.streams:
        attributes["gen_ai.request.stream"] = True
    if call.session_id:
        attributes["gen_ai.conversation.id"] = call.session_id
    for option, name in _OPTIONS.items():
        if isinstance(value := call.options.get(option), int | float):
            attributes[name] = value
    return attributes


def response_attributes(call: ModelCall) -> Attributes:
    """Attributes of a model call at its end, without texts."""
    attributes: Attributes = {}
    if call.first_piece_seconds is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = call.first_piece_seconds
    message = call.message
    if message is None:
        return attributes
    metadata: dict[str, Any] = message.response_metadata
    if reason := metadata.get("finish_reason"):
        attributes["gen_ai.response.finish_reasons"] = (str(reason),)
    if model := metadata.get("model_name"):
        attributes["gen_ai.response.model"] = str(model)
    if response_id := metadata.get("id"):
        attributes["gen_ai.response.id"] = str(response_id)
    if usage := message.usage_metadata:
        attributes["gen_ai.usage.input_tokens"] = usage["input_tokens"]
        attributes["gen_ai.usage.output_tokens"] = usage["output_tokens"]
        if cached := usage.get("input_token_details", {}).get("cache_read"):
            attributes["gen_ai.usage.cache_read.input_tokens"] = cached
        if thought := usage.get("output_token_details", {}).get("reasoning"):
            attributes["gen_ai.usage.reasoning.output_tokens"] = thought
    return attributes


def content_attributes(call: ModelCall) -> Attributes:
    """Prompt and answer of a model call; only for `ONIONSKIN_OTEL_CONTENT`."""
    attributes: Attributes = {"gen_ai.input.messages": _json(list(map(_message, call.prompt)))}
    if call.message:
        reason = call.message.response_metadata.get("finish_reason") or "stop"
        output = _message(call.message) | {"finish_reason": str(reason)}
        attributes["gen_ai.output.messages"] = _json([output])
    return attributes


def recall_attributes(stage: StageEvent, *, content: bool) -> Attributes:
    """Attributes of a turn's recall: counts, and with `content` the texts."""
    if stage.recall is None:
        return {}
    sections = stage.recall.sections
    hits = [hit for section in sections for hit in section.hits]
    records = [record for section in sections for record in section.records]
    attributes: Attributes = {
        "gen_ai.conversation.id": stage.recall.turn.snapshot.session.id,
        "gen_ai.memory.record.count": len(hits) + len(records),
        "onionskin.profile": stage.recall.profile,
    }
    if content:
        messages = [
            {"id": hit.entry.id, "content": hit.entry.message.content, "score": hit.score}
            for hit in hits
        ]
        attributes["gen_ai.memory.query.text"] = stage.text
        attributes["gen_ai.memory.records"] = _json(messages + list(map(_record, records)))
    return attributes


def operation_attributes(operation: MemoryOperation, *, content: bool) -> Attributes:
    """Attributes of an operation on records: counts, and with `content` the texts."""
    attributes: Attributes = {}
    count = len(operation.records) if operation.count is None else operation.count
    attributes["gen_ai.memory.record.count"] = count
    if operation.record_id:
        attributes["gen_ai.memory.record.id"] = operation.record_id
    if content and operation.query:
        attributes["gen_ai.memory.query.text"] = operation.query
    if content and operation.records:
        attributes["gen_ai.memory.records"] = _json(list(map(_record, operation.records)))
    return attributes


def provider_of(model: BaseChatModel) -> str:
    """The provider's name in the conventions, derived from the package of the model's class."""
    packages = [base.__module__.partition(".")[0] for base in type(model).__mro__]
    providers = [name for name in packages if name.startswith("langchain_") and name != _CORE]
    package = next(iter(providers), packages[0]).removeprefix("langchain_")
    return _PROVIDERS.get(package, package)


def model_name(model: BaseChatModel) -> str:
    """The provider's name of the model."""
    name = getattr(model, "model_name", None) or getattr(model, "model", None)
    return str(name or type(model).__name__)


def _record(record: Record | RecordHit) -> dict[str, Any]:
    if isinstance(record, RecordHit):
        return _record(record.record) | {"score": record.hit.score}
    return {"id": record.id, "content": record.content}


def _message(message: BaseMessage) -> dict[str, Any]:
    parts: list[Mapping[str, Any]] = []
    if text := str(message.text):
        parts.append({"type": "text", "content": text})
    for call in message.tool_calls if isinstance(message, AIMessage) else ():
        tool_call = {"id": call["id"], "name": call["name"], "arguments": call["args"]}
        parts.append({"type": "tool_call"} | tool_call)
    kind = message.type.removesuffix("MessageChunk").lower()
    return {"role": _ROLES.get(kind, kind), "parts": parts}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
