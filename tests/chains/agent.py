"""An agent with a tool and a memory, as a separate process; it answers each line of its input.

`python -m tests.chains.agent <Redis URL> <model URL> <user> <thread>`
"""

import asyncio
import sys
from typing import Any

from langchain import agents as langchain_agents
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from onionskin.chains.agent_middleware import LayeredMemoryMiddleware
from onionskin.memory.langchain.checkpointer import OnionskinSaver
from onionskin.memory.langchain.client import open_onionskin

_agents: Any = langchain_agents
create_agent = _agents.create_agent
"""LangChain's function, whose types are partial."""


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


async def main(redis_url: str, model_url: str, user: str, thread: str) -> None:
    """Answer each line of standard input."""
    async with open_onionskin(redis_url) as onionskin:
        agent = create_agent(
            ChatOpenAI(model="test-model", base_url=model_url, api_key=SecretStr("none")),
            [weather],
            system_prompt="You are a guide.",
            middleware=[LayeredMemoryMiddleware(onionskin)],
            checkpointer=OnionskinSaver(onionskin),
        )
        for line in sys.stdin:
            state = await agent.ainvoke(
                {"messages": [("human", line.strip())]},
                {"configurable": {"user_id": user, "thread_id": thread}},
            )
            print(state["messages"][-1].text)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
