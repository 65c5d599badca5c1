"""Content parts as text: one meaning for OpenAI's protocol and LangChain's messages."""

from typing import Any

import pytest

from onionskin.memory.content import NO_TEXT, spoken_text, stored_text

_PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        ("Hello.", "Hello."),
        ("", ""),
        (None, ""),
        ([], ""),
        ([{"type": "text", "text": "I live in Porto"}, {"type": "text", "text": "My dog"}], None),
        (["I live in Porto", {"type": "input_text", "text": "My dog"}], None),
        ([{"type": "text", "text": "Look:"}, _PICTURE], "Look:"),
        ([_PICTURE, _PICTURE], NO_TEXT),
        ([{"type": "input_audio", "input_audio": {"data": "AAAA"}}], NO_TEXT),
        ([{"type": "file", "file": {"file_id": "f"}}, {"type": "text", "text": " "}], NO_TEXT),
        ([{"type": "refusal", "refusal": "I cannot."}], "I cannot."),
        ([{"type": ["odd"], "text": "Unknown."}, {"no": "type"}], NO_TEXT),
    ],
)
def test_texts_are_joined_and_attachments_alone_are_named(content: Any, stored: str | None) -> None:
    assert stored_text(content) == ("I live in Porto\nMy dog" if stored is None else stored)


def test_spoken_text_has_no_placeholder() -> None:
    assert spoken_text([_PICTURE]) == ""
