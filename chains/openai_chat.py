"""ChatOpenAI, its messages past the SDK's transform of requests."""

from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_openai import ChatOpenAI


class LeanChatOpenAI(ChatOpenAI):
    """ChatOpenAI that hands its messages over as they go on the wire.

    The SDK tries each message against every variant of a union of typed dicts, to rename keys that
    have other names on the wire; those of chat messages have none. What stands in `extra_body` is
    merged into the request untouched, so the request is the same, sooner.
    """

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            input_, stop=stop, **kwargs
        )
        if "messages" not in payload or "response_format" in payload:
            return payload  # of the Responses API, or parsed by the SDK
        messages = payload["messages"]
        extra: dict[str, Any] = payload.get("extra_body") or {}
        return {**payload, "messages": [], "extra_body": {"messages": messages, **extra}}
