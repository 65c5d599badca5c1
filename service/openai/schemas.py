"""Request bodies of OpenAI's chat completions.

Unknown fields of messages are passed to the model; unknown fields of the request are ignored.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from onionskin.memory.content import is_text_part, spoken_text

PASSED_ON = (
    *("tools", "tool_choice", "parallel_tool_calls", "response_format", "temperature", "top_p"),
    *("max_tokens", "max_completion_tokens", "stop", "seed", "presence_penalty"),
    *("frequency_penalty", "logit_bias", "reasoning_effort", "verbosity"),
)
"""Fields that are passed to the model unchanged."""


class ChatCompletionMessage(BaseModel):
    """A message of a conversation. The model gets it as it was sent."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The text of the message, without other parts."""
        return spoken_text(self.content)

    @property
    def sent(self) -> dict[str, Any]:
        """The message with all its fields, as the client sent it."""
        return self.model_dump(exclude_unset=True)

    @property
    def is_system(self) -> bool:
        """Whether the message is an instruction of the client."""
        return self.role in ("system", "developer")

    @property
    def parts(self) -> tuple[dict[str, Any], ...]:
        """The parts that are not text, such as images."""
        if not isinstance(self.content, list):
            return ()
        return tuple(part for part in self.content if not is_text_part(part))


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class CompletionRequest(BaseModel):
    """A request for a chat completion."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "model": "layered",
                    "user": "alice",
                    "messages": [{"role": "user", "content": "My dog is called Biscuit."}],
                }
            ]
        },
    )

    model: str = Field(description="A memory profile, such as `layered`.")
    messages: list[ChatCompletionMessage] = Field(min_length=1)
    user: str | None = Field(None, description="Id of the user; `safety_identifier` works too.")
    safety_identifier: str | None = None
    prompt_cache_key: str | None = Field(
        None, description="Used as the session if it is a session id."
    )
    metadata: dict[str, Any] | None = Field(
        None, description="`session_id`, and `task` of jobs of front ends."
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, description="Must be 1.")

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def options(self) -> dict[str, Any]:
        """The fields that are passed to the model unchanged."""
        extra = self.model_extra or {}
        return {name: extra[name] for name in PASSED_ON if extra.get(name) is not None}
