"""What a model would be shown for a message."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from onionskin.chains.context import Context
from onionskin.memory.tokens import count_tokens
from onionskin.service.schemas import LayerUse


class ContextRequest(BaseModel):
    """A message that memory is wanted for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"message": "What is my dog called?"}]}
    )

    message: str = Field(description="What the user says.")
    session_id: str | None = Field(
        None, description="The session to go on with; left out, the latest one or none."
    )
    profile: str | None = Field(None, description="The memory profile, such as `layered`.")


class PromptMessage(BaseModel):
    """One message of the prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class ContextAnswer(BaseModel):
    """What was recalled. Nothing was stored."""

    session_id: str | None = Field(description="None where a turn would begin a new one.")
    profile: str
    text: str = Field(description="The memory as one text, fenced; without the message.")
    prompt: list[PromptMessage] = Field(description="What a model would be sent.")
    tokens: int = Field(description="Of the prompt; estimated.")
    memory: list[LayerUse]
    degraded: list[str] = Field(description="What could not be used, such as `embedder`.")

    @classmethod
    def of(cls, context: Context) -> "ContextAnswer":
        """The schema of a context."""
        roles: dict[str, Literal["system", "user", "assistant"]]
        roles = {"system": "system", "human": "user", "ai": "assistant"}
        found = context.found
        prompt = [
            PromptMessage(role=roles[message.type], content=str(message.text))
            for message in context.prompt
        ]
        return cls(
            session_id=None if found.is_new_session else found.session_id,
            profile=found.profile,
            text=context.text,
            prompt=prompt,
            tokens=sum(count_tokens(message.content) for message in prompt),
            memory=[LayerUse.of(section) for section in found.sections],
            degraded=list(found.degraded),
        )
