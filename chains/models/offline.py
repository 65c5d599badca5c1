"""The offline model: deterministic, without key or network. It quotes, and cannot reason."""

import re
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from onionskin.chains.prompt import EARLIER, KNOWN, MESSAGE_FOLLOWS, RECALLED, STANDING, SUMMARY
from onionskin.chains.quoting import QuotedLine, inside, quoted_lines
from onionskin.chains.summarizer import NEW_LINES
from onionskin.memory.retrieval import Analyzer
from onionskin.memory.summarization import select_lines
from onionskin.memory.tokens import count_tokens

NOTICE = (
    "(Offline model: it only quotes what is remembered. "
    "Set OPENAI_API_KEY or ONIONSKIN_MODEL for real answers.)"
)
_MAX_QUOTES = 3
_SUMMARY_TOKENS = 400


class OfflineChatModel(BaseChatModel):
    """Answers with the remembered lines that share the most words with the message."""

    @property
    def _llm_type(self) -> str:
        return "onionskin-offline"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop, **kwargs)
        params["ls_provider"], params["ls_model_name"] = "onionskin", "offline"
        return params

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model itself: it accepts tools, and never calls one."""
        del tools, tool_choice, kwargs
        return self

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Structured output is not supported.

        Raises:
            NotImplementedError: Always.
        """
        del schema, include_raw, kwargs
        raise NotImplementedError("The offline model only quotes; it cannot fill in a structure.")

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, run_manager, kwargs
        text = _reply(messages)
        message = AIMessage(
            text,
            usage_metadata=_usage(messages, text),
            response_metadata={"model_name": "offline", "finish_reason": "stop"},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        del stop, kwargs
        text = _reply(messages)
        for word in re.findall(r"\S+\s*|\s+", text):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=word))
            if run_manager:
                run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk
        last = AIMessageChunk(
            content="",
            usage_metadata=_usage(messages, text),
            response_metadata={"model_name": "offline", "finish_reason": "stop"},
        )
        yield ChatGenerationChunk(message=last)


def _reply(messages: list[BaseMessage]) -> str:
    last = str(messages[-1].text)
    if new_lines := inside(NEW_LINES, last):
        return _summarize(inside(SUMMARY, last), new_lines)
    question = last.rpartition(f"{MESSAGE_FOLLOWS}\n")[2]
    quotes = _best(question, _remembered(messages)) if "?" in question else []
    if quotes:
        lines = [f'- {quote.when}, {quote.who}: "{quote.text}"' for quote in quotes]
        return "\n".join(("From memory:", *lines, NOTICE))
    answer = "Nothing that I remember answers this." if "?" in question else "Noted."
    return f"{answer} {NOTICE}"


def _remembered(messages: list[BaseMessage]) -> list[QuotedLine]:
    """The user's lines in the whole prompt; replies are left out, since they quote the user."""
    system, last = str(messages[0].text), str(messages[-1].text)
    fences = ((STANDING, system), (EARLIER, system), (KNOWN, last), (RECALLED, last))
    quotes = [
        quote
        for tag, text in fences
        for quote in quoted_lines(inside(tag, text))
        if quote.who != "assistant"
    ]
    quotes += [
        QuotedLine("earlier", "summary", line)
        for line in inside(SUMMARY, system).splitlines()
        if not line.startswith("assistant:")
    ]
    quotes += [
        QuotedLine("just now", "user", str(message.text))
        for message in messages[:-1]
        if message.type == "human"
    ]
    return quotes


def _best(question: str, quotes: list[QuotedLine]) -> list[QuotedLine]:
    analyze, scored = Analyzer(), list[tuple[float, QuotedLine]]()
    wanted = set(analyze(question))
    for quote in dict.fromkeys(quotes):
        terms = set(analyze(quote.text))
        shared = len(wanted & terms)
        if shared and not quote.text.rstrip().endswith("?"):
            score = shared + shared / (1 + len(terms))
            scored.append((score * 0.5 if "?" in quote.text else score, quote))
    scored.sort(key=itemgetter(0), reverse=True)
    return [quote for _, quote in scored[:_MAX_QUOTES]]


def _summarize(summary: str, new_lines: str) -> str:
    lines = [line for line in summary.splitlines() if line.strip()]
    lines += [f"{quote.who}: {' '.join(quote.text.split())}" for quote in quoted_lines(new_lines)]
    without_notices = [line for line in lines if NOTICE not in line]
    return "\n".join(select_lines(without_notices or lines, budget_tokens=_SUMMARY_TOKENS))


def _usage(messages: list[BaseMessage], text: str) -> UsageMetadata:
    prompt = sum(count_tokens(str(message.text)) for message in messages)
    answer = count_tokens(text)
    return UsageMetadata(input_tokens=prompt, output_tokens=answer, total_tokens=prompt + answer)
