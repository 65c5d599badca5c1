"""What an answer repeats of private text is not stored with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionskin.memory.privacy.echo_removal import matches_redacted, remove_echoes
from onionskin.memory.privacy.private_spans import MARK


@pytest.mark.parametrize(
    ("secret", "answer", "kept"),
    [
        ("4921", "Your pin is 4921.", "Your pin is [private]."),
        ("the pin is 4921", "Noted: 4921!", "Noted: [private]!"),
        ("mail me at bob@example.org", "I wrote to Bob@Example.org.", "I wrote to [private]."),
        ("I have a rare blood disease", "You HAVE a rare blood disease?", "You [private]?"),
        ("北京烤鸭", "你说北京烤鸭很好", "你说[private]很好"),
        ("yes", "Yes, yes.", "Yes, yes."),
        ("red", "A red door.", "A red door."),
        ("the door is red", "A door that is red.", "A door that is red."),
        ("correct horse battery", "Is it correct horse ba", "Is it [private]"),
        ("private", "It is [private] and private.", "It is [private] and private."),
    ],
)
def test_spans_runs_and_numbers_are_taken_out(secret: str, answer: str, kept: str) -> None:
    assert remove_echoes(answer, [secret]) == kept


@given(st.text(min_size=4).filter(lambda one: one.strip() == one and one.casefold() not in MARK))
def test_a_span_of_four_characters_is_never_left(secret: str) -> None:
    kept = remove_echoes(f"You said: {secret} - right?", [secret])
    assert secret not in kept.replace(MARK, "")


@given(st.lists(st.text(), min_size=2, max_size=4))
def test_a_stored_answer_is_known_again_by_what_its_client_has(pieces: list[str]) -> None:
    assert matches_redacted(MARK.join(pieces), "something".join(pieces))
    assert matches_redacted(MARK.join(pieces), MARK.join(pieces))


def test_another_answer_is_not() -> None:
    assert not matches_redacted("Noted, [private]. Bye.", "Noted, 4921.")
    assert not matches_redacted("Noted, [private].", "Well: 4921.")
    assert not matches_redacted("a[private]a", "a")
    assert not matches_redacted("Noted.", "Noted")
