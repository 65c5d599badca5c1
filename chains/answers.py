"""What a model answered, and what tools returned, as it is stored."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from langchain_core.messages import AIMessage

from onionskin.chains.turn import ClientInstructions, with_prefill
from onionskin.memory.answer_markup import visible_answer
from onionskin.memory.content import spoken_text
from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.memory.types.messages import Answer, ToolCall, ToolResult, ToolRound


def answer_of(text: str, message: AIMessage | None, instructions: ClientInstructions) -> Answer:
    """The answer of a model, without its reasoning.

    Args:
        text: The whole text.
        message: The model's message; of a stream, the pieces with tool calls or a refusal.
        instructions: The client's instructions, which may hold the beginning of the answer.
    """
    refusal = refusal_of(message)
    if refusal and not text.strip():
        return Answer(refusal, refused=True)
    visible = visible_answer(with_prefill(instructions, text))
    return Answer(visible, calls_of(message) if message else ())


def refusal_of(message: AIMessage | None) -> str:
    """The text of a refusal; empty if the model did not refuse."""
    return str(message.additional_kwargs.get("refusal") or "") if message else ""


def calls_of(message: AIMessage) -> tuple[ToolCall, ...]:
    """The tool calls of a message; those that LangChain cannot parse too."""
    if not (message.tool_calls or message.invalid_tool_calls):
        return ()
    calls = [
        ToolCall(call["id"] or "", call["name"], json.dumps(call["args"], ensure_ascii=False))
        for call in message.tool_calls
    ]
    calls += [
        ToolCall(call["id"] or "", call["name"] or "", call["args"] or "")
        for call in message.invalid_tool_calls
    ]
    return tuple(calls)


def rounds_of(messages: Sequence[Mapping[str, Any]]) -> tuple[ToolRound, ...]:
    """The answers with tool calls among messages in OpenAI's form, with the results.

    Args:
        messages: The client's messages after the user's.
    """
    rounds: list[ToolRound] = []
    for message in messages:
        if message.get("role") == "assistant" and message.get("tool_calls"):
            text = visible_answer(spoken_text(message.get("content")))
            rounds.append(ToolRound(text, tuple(_calls(message["tool_calls"]))))
        elif message.get("role") in ("tool", "function") and rounds:
            result = _result(message, rounds[-1].calls)
            rounds[-1] = replace(rounds[-1], results=(*rounds[-1].results, result))
    return tuple(rounds)


def results_before(messages: Sequence[Mapping[str, Any]]) -> tuple[ToolResult, ...]:
    """The results of tools at the end of a client's earlier messages."""
    end = len(messages)
    while end and messages[end - 1].get("role") in ("tool", "function"):
        end -= 1
    found = rounds_of(messages[max(0, end - 1) :])
    return found[-1].results if found else ()


def without_private(answer: Answer, privacy: PrivacyPolicy, texts: Sequence[str]) -> Answer:
    """The answer as it may be stored.

    Args:
        answer: The answer.
        privacy: The privacy policy.
        texts: Private texts of the user's message.
    """

    def stored(text: str) -> str:
        return privacy.answer_for_storage(text, tuple(texts)) if text else text

    if not answer.calls:
        return replace(answer, text=stored(answer.text))
    calls = tuple(replace(call, arguments=stored(call.arguments)) for call in answer.calls)
    return replace(answer, text=stored(answer.text), calls=calls)


def rounds_without_private(
    rounds: Sequence[ToolRound], privacy: PrivacyPolicy, texts: Sequence[str]
) -> tuple[ToolRound, ...]:
    """The answers with tool calls as they may be stored; see `without_private`."""

    def stored(one: ToolRound) -> ToolRound:
        answer = without_private(Answer(one.text, one.calls), privacy, texts)
        return ToolRound(answer.text, answer.calls, stored_results(one.results, privacy))

    return tuple(map(stored, rounds))


def stored_results(results: Sequence[ToolResult], privacy: PrivacyPolicy) -> tuple[ToolResult, ...]:
    """Results of tools as they may be stored."""
    return tuple(replace(one, content=privacy.for_storage(one.content)) for one in results)


def _calls(calls: Any) -> Iterator[ToolCall]:
    for call in cast("list[Any]", calls if isinstance(calls, list) else []):
        fields = cast("dict[str, Any]", call if isinstance(call, dict) else {})
        function: dict[str, Any] = fields.get("function") or fields.get("custom") or {}
        arguments = function.get("arguments", function.get("input")) or ""
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        yield ToolCall(str(fields.get("id") or ""), str(function.get("name") or ""), text)


def _result(message: Mapping[str, Any], calls: Sequence[ToolCall]) -> ToolResult:
    call_id = str(message.get("tool_call_id") or message.get("name") or "")
    name = next((call.name for call in calls if call.id == call_id), "")
    name = name or str(message.get("name") or "")
    return ToolResult(call_id, name, spoken_text(message.get("content")))
