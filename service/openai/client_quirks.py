"""Conventions of chat front-ends: kinds of requests, and how they name their user and chat."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import jwt
from jwt.exceptions import PyJWTError
from pydantic import SecretStr

from onionskin.memory.errors import InvalidInputError
from onionskin.service.auth.principals import Principal, UnauthorizedError
from onionskin.service.openai.front_ends import front_ends
from onionskin.service.openai.schemas import CompletionRequest
from onionskin.service.openai.session_matching import ConversationName, is_session_id

RequestKind: TypeAlias = Literal["turn", "temporary", "job"]
"""A turn is recalled for and stored, a temporary one is recalled for, and a job is neither."""
_REMEMBER, _TASK = "x-onionskin-remember", "x-onionskin-task"
_YES, _NO = ("true", "1", "yes"), ("false", "0", "no")
_OPEN_WEBUI_CHAT = "x-openwebui-chat-id"
_CHAT_HEADERS = (_OPEN_WEBUI_CHAT, "x-chat-id", "x-conversation-id")
_CHAT_FIELDS = ("chat_id", "conversation_id", "thread_id")
_LOCAL_CHAT = "local:"
_LONGEST_CHAT_ID = 256
_USER_TOKEN, _ISSUER = "x-openwebui-user-jwt", "open-webui"
_LEEWAY_SECONDS = 60


def kind_of(request: CompletionRequest, headers: Mapping[str, str]) -> RequestKind:
    """Whether a request is a turn, a temporary turn, or a job of a front end such as a title.

    Jobs have the header `X-Onionskin-Task: <any>`, `metadata.task`, or a shape of
    `front_ends.toml`. Temporary turns have `X-Onionskin-Remember: false`, or belong to a temporary
    chat of Open WebUI.

    Raises:
        InvalidInputError: `X-Onionskin-Remember` is neither true nor false.
    """
    remember = headers.get(_REMEMBER)
    if remember is not None and remember.strip().lower() not in _YES + _NO:
        raise InvalidInputError(
            f"The header X-Onionskin-Remember is {remember!r}. Send `true`, or `false` for a turn "
            "that is answered with the memory, but not stored."
        )
    if headers.get(_TASK) or (request.metadata or {}).get("task"):
        return "job"
    if front_ends().is_job(request.messages, streams=bool(request.stream)):
        return "job"
    is_temporary = remember is not None and remember.strip().lower() in _NO
    return "temporary" if is_temporary or _chat_id(request, headers)[:6] == _LOCAL_CHAT else "turn"


def conversation_name(
    request: CompletionRequest, headers: Mapping[str, str], program: str
) -> ConversationName:
    """How a request names its conversation.

    It is a session id in `X-Session-Id`, `metadata.session_id` or `prompt_cache_key`; else the
    client's own id of the chat, in a header or in the metadata; else the program of the request.

    Args:
        request: The request.
        headers: Its HTTP headers.
        program: Instructions of a program that sends demonstrations; empty for a chat.
    """
    named = headers.get("x-session-id") or (request.metadata or {}).get("session_id")
    key = request.prompt_cache_key
    if named or is_session_id(key):
        return ConversationName(session_id=str(named or key))
    if headers.get(_OPEN_WEBUI_CHAT):
        return ConversationName(front_end_chat=_chat_id(request, headers))
    if chat := _chat_id(request, headers):
        return ConversationName(chat=chat)
    return ConversationName(program=program or None)


def _chat_id(request: CompletionRequest, headers: Mapping[str, str]) -> str:
    fields = request.metadata or {}
    named = next((headers[name] for name in _CHAT_HEADERS if headers.get(name)), None)
    named = named or next((fields[name] for name in _CHAT_FIELDS if fields.get(name)), "")
    return named[:_LONGEST_CHAT_ID] if isinstance(named, str) else ""


def user_of(
    request: CompletionRequest,
    headers: Mapping[str, str],
    principal: Principal,
    secret: SecretStr | None,
) -> str:
    """The id of the user whose memory a request uses.

    It is `user`, else `safety_identifier`, else Open WebUI's user, else the only user that the
    caller may access.

    Args:
        request: The request.
        headers: Its HTTP headers.
        principal: The caller.
        secret: Key of Open WebUI's signature; without it, Open WebUI's header is ignored.

    Raises:
        InvalidInputError: The request names no user, or an invalid one.
        UnauthorizedError: Open WebUI's signature is invalid.
    """
    user_id = request.user or request.safety_identifier
    if not user_id and secret and (token := headers.get(_USER_TOKEN)):
        user_id = _signed_user(token, secret)
    user_id = user_id or principal.user_id
    if not user_id:
        raise InvalidInputError(
            "The request names no user: send `user` (or `safety_identifier`) with your user's id."
        )
    if len(user_id) > 256 or "/" in user_id or not user_id.isprintable() or user_id in (".", ".."):  # noqa: PLR2004
        raise InvalidInputError("`user` must be up to 256 visible characters without '/'.")
    return user_id


def _signed_user(token: str, secret: SecretStr) -> str:
    try:
        claims = jwt.decode(
            token,
            secret.get_secret_value(),
            algorithms=["HS256"],
            issuer=_ISSUER,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["sub", "exp", "iss"], "verify_aud": False},
        )
    except PyJWTError as error:
        raise UnauthorizedError(
            "Open WebUI's signed user header is invalid: its secret differs, or it has expired."
        ) from error
    return str(claims["sub"])
