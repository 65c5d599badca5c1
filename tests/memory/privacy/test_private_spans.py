"""`<private>...</private>`, in every way in which people and programs write it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from onionskin.memory.privacy.private_spans import MARK, split

_TAGS = (
    "<private>",
    "</private>",
    "< PRIVATE\n>",
    "</ pri\u200bvate >",
    '<private why="x">',
    "<private",
)
_PIECES = st.sampled_from([*_TAGS, "<", ">", "private", "a", " ", "\n", MARK, "[", "]", "/"])
_TEXTS = st.lists(_PIECES, max_size=12).map("".join)
_PLAIN = st.text(st.characters(exclude_characters="<\uff1c", exclude_categories=("Cs",)))


@pytest.mark.parametrize(
    ("text", "seen", "kept"),
    [
        ("no tag at all, a < b > c", "no tag at all, a < b > c", "no tag at all, a < b > c"),
        ("my pin <private>1234</private>, ok?", "my pin 1234, ok?", "my pin [private], ok?"),
        ("<PRIVATE>a</Private> b", "a b", "[private] b"),
        ("<private>a<private>b</private>c</private>d", "abcd", "[private]d"),
        ("<private>a</private>b<private>c</private>", "abc", "[private]b[private]"),
        ("a <private>b and so on", "a b and so on", "a [private]"),
        ("a</private> b", "a b", "[private] b"),
        ("<private>a</private>b</private>c", "abc", "[private]c"),
        ("<private>a<private>b</private>c", "abc", "[private]"),
        ("< \n private\t>a<\u00a0/\u00a0private >b", "ab", "[private]b"),
        ("<pri\nvate>a</priva\u200bte>b", "ab", "[private]b"),
        ('<private reason="pin">a</private>b', "ab", "[private]b"),
        ("a <private 1234", "a  1234", "a [private]"),
        ("\uff1cprivate\uff1ea\uff1c/private\uff1eb", "ab", "[private]b"),
        ("<privateer> and <private-key> are not", "<privateer> and <private-key> are not", None),
        ("<pri<private>x</private>vate>y", "<prixvate>y", "<pri[private]vate>y"),
    ],
)
def test_what_the_model_sees_and_what_is_kept(text: str, seen: str, kept: str | None) -> None:
    found = split(text)
    assert (found.for_model, found.for_storage) == (seen, text if kept is None else kept)


@given(st.lists(st.tuples(_PLAIN, _PLAIN), max_size=5), _PLAIN)
def test_text_between_tags_is_shown_but_not_stored(pairs: list[tuple[str, str]], end: str) -> None:
    text = "".join(f"{open_}<private>{secret}</private>" for open_, secret in pairs) + end
    found = split(text)
    assert found.for_storage == "".join(f"{open_}{MARK}" for open_, _ in pairs) + end
    assert found.for_model == "".join(open_ + secret for open_, secret in pairs) + end
    assert set(found.private_texts) == {secret.strip() for _, secret in pairs} - {""}


@given(_TEXTS)
@example("</private>a<private>")
def test_what_is_kept_has_no_tag_left_and_is_kept_whole(text: str) -> None:
    kept = split(text).for_storage
    assert split(kept).for_storage == kept
    assert not split(kept).private_texts


@given(_TEXTS, _PLAIN)
def test_nothing_behind_a_tag_without_its_counterpart_is_kept(around: str, secret: str) -> None:
    opened, closed = f"{around}<private>{secret}CANARY", f"{secret}CANARY</private>{around}"
    assert "CANARY" not in split(opened).for_storage
    assert "CANARY" in split(opened).for_model
    assert "CANARY" not in split(closed).for_storage


def test_an_answer_that_names_a_tag_is_kept_whole() -> None:
    assert (
        split("Write <private> before it.", lone=False).for_storage == "Write <private> before it."
    )
    assert split("So: <private>1234</private>.", lone=False).for_storage == "So: [private]."


@pytest.mark.parametrize("piece", ["<", "< ", "<private", "</private>", "<p r i v", "<private>"])
def test_a_long_text_is_read_at_once(piece: str) -> None:
    """In quadratic time it would take minutes."""
    assert split(piece * 50_000).for_model is not None
