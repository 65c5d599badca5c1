"""Agents of `create_agent` with a chat model of scripted answers, which records its prompts."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import interrupt
from pydantic import BaseModel, ConfigDict, Field

from onionskin.chains.agent_middleware import LayeredMemoryMiddleware
from onionskin.memory.errors import UnknownSessionError
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.named_sessions import external_session_id
from onionskin.memory.types.messages import Message, User
from tests.chains.agent import create_agent

ALICE = User("alice")
Answer = AIMessage | str | Exception | Callable[[list[BaseMessage]], AIMessage]


class ScriptedModel(BaseChatModel):
    """Returns or raises its answers in order, then says `Ok.`"""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    answers: deque[Any] = Field(default_factory=deque[Any])
    prompts: list[list[BaseMessage]] = Field(default_factory=list[list[BaseMessage]])

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.prompts.append(list(messages))
        answer: Answer = self.answers.popleft() if self.answers else "Ok."
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, AIMessage | str):
            answer = answer(messages)
        message = AIMessage(answer) if isinstance(answer, str) else answer
        return ChatResult(generations=[ChatGeneration(message=message)])

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """The model itself: its script names the tools."""
        return self

    @property
    def last_prompt(self) -> list[tuple[str, str]]:
        """Types and texts of the last prompt."""
        return [(message.type, str(message.text)) for message in self.prompts[-1]]


def calls(*named: tuple[str, dict[str, Any]], text: str = "", first: int = 1) -> AIMessage:
    """An answer that calls tools by name, with the ids c1, c2 ..."""
    return AIMessage(
        text,
        tool_calls=[
            {"name": name, "args": args, "id": f"c{number}", "type": "tool_call"}
            for number, (name, args) in enumerate(named, first)
        ],
    )


def agent_of(
    onionskin: Onionskin,
    model: BaseChatModel,
    tools: Sequence[Any] = (),
    *,
    others: Sequence[Any] = (),
    saver: Any = None,
    first: bool = True,
    options: dict[str, Any] | None = None,
    **more: Any,
) -> Any:
    """An agent with the memory, before or after `others` in the list of middleware."""
    own = LayeredMemoryMiddleware(onionskin, **(options or {}))
    return create_agent(
        model,
        list(tools),
        middleware=[own, *others] if first else [*others, own],
        checkpointer=InMemorySaver() if saver is None else saver or None,
        **more,
    )


def config(thread: str = "t", user: str = "alice") -> Any:
    """The config of a run."""
    return {"configurable": {"user_id": user, "thread_id": thread}}


def says(*texts: Any) -> Any:
    """The input of a run: what the user says."""
    return {"messages": [HumanMessage(text) for text in texts]}


async def stored(onionskin: Onionskin, thread: str = "t", user: User = ALICE) -> list[Message]:
    """The live messages of a thread's session."""
    try:
        session = await onionskin.store.sessions.get(user, external_session_id(thread))
    except UnknownSessionError:
        return []
    entries = await onionskin.store.transcripts.read_live(user, session)
    return [entry.message for entry in entries]


def lines(messages: Sequence[Message]) -> list[str]:
    """Messages as short texts: `user: Hi.`, `assistant: look{"a": 1}`, `assistant: <found> Ok.`"""
    found: list[str] = []
    for message in messages:
        results = "".join(f"<{result.content}>" for result in message.results)
        named = "".join(f"{call.name}{call.arguments}" for call in message.calls)
        parts = (results, message.content, named)
        found.append(f"{message.role}: {' '.join(part for part in parts if part)}")
    return found


@tool
def look(place: str) -> str:
    """Look at a place."""
    return f"Rain in {place}."


@tool(return_direct=True)
def quote(number: int) -> str:
    """Quote a price, as the answer."""
    return f"It costs {number}."


@tool
def ask(question: str) -> str:
    """Ask the user."""
    return f"They say {interrupt(question)}."


@tool
def broken(place: str) -> str:
    """A tool that fails."""
    raise RuntimeError(f"No road to {place}.")


class Pet(BaseModel):
    """A pet of the user."""

    name: str
