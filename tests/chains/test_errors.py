"""Errors of providers: which are outages, and what the caller learns of a refusal."""

import httpx2
import openai
import pytest

from onionskin.chains.errors import (
    ModelError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
    translate_provider_error,
)

_REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")


def _status_error(status: int, message: object, headers: dict[str, str] | None = None) -> Exception:
    response = httpx2.Response(status, request=_REQUEST, headers=headers or {})
    return openai.APIStatusError("failed", response=response, body={"message": message})


@pytest.mark.parametrize(
    "error",
    [
        ValueError("of the SDK"),
        TypeError("of this process"),
        openai.ContentFilterFinishReasonError(),
        RecursionError(),
    ],
)
def test_a_local_error_is_no_outage(error: Exception) -> None:
    assert not translate_provider_error(error).outage


@pytest.mark.parametrize(
    "error",
    [
        openai.APIConnectionError(request=_REQUEST),
        ConnectionRefusedError(),
        httpx2.ReadError("reset"),
        _status_error(500, "boom"),
        _status_error(529, "overloaded"),
        _status_error(429, "slow down"),
    ],
)
def test_a_provider_that_is_down_is_an_outage(error: Exception) -> None:
    assert translate_provider_error(error).outage


def test_timeouts_and_pauses_keep_their_kinds() -> None:
    assert isinstance(translate_provider_error(openai.APITimeoutError(_REQUEST)), ModelTimeoutError)
    busy = translate_provider_error(_status_error(429, "slow down", {"retry-after": "3"}))
    assert isinstance(busy, ModelUnavailableError)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_a_refusal_keeps_its_status_and_its_reason(status: int) -> None:
    error = translate_provider_error(_status_error(status, "The model `gpt-6` does not exist."))
    assert isinstance(error, ModelRequestError)
    assert error.status == status
    assert "The model `gpt-6` does not exist." in str(error)
    assert not error.outage


@pytest.mark.parametrize(
    "message",
    [
        "Incorrect API key provided: sk-proj-abcdefgh12345678.",
        "Bad token Bearer abcdef.ghijkl",
        "Key 0123456789abcdef0123456789abcdef is unknown",
        "x" * 5000,
        None,
        {"nested": 1},
    ],
)
def test_a_reason_holds_no_key_and_is_short(message: object) -> None:
    text = str(translate_provider_error(_status_error(401, message)))
    for secret in ("abcdefgh12345678", "abcdef.ghijkl", "0123456789abcdef"):
        assert secret not in text
    assert len(text) < 450


def test_our_own_error_stays_itself() -> None:
    error = ModelError("known")
    assert translate_provider_error(error) is error
