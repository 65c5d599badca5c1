"""Personal data: what is found, what is not, and that marks are left alone."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionskin.memory.errors import ConfigurationError
from onionskin.memory.privacy.pii import Detector, cards, emails, ip_addresses, phones
from onionskin.memory.privacy.redaction import Kind, Redactor, langchain_detector
from tests.conftest import repository

ALL: tuple[Kind, ...] = ("email", "card", "ip", "phone")
TRUE: dict[Kind, list[tuple[str, str]]] = {
    "email": [
        ("mail bob@example.org now", "bob@example.org"),
        ("<Ann.Lee+x@mail.example.co.uk>", "Ann.Lee+x@mail.example.co.uk"),
        ("an user_1@x-y.io.", "user_1@x-y.io"),
        ("büro@müller.de bitte", "büro@müller.de"),
        ("o'neil@example.com", "o'neil@example.com"),
        ("me@xn--mller-kva.de ok", "me@xn--mller-kva.de"),
        ("mailto:a@b.co?subject=x", "a@b.co"),
        ("用户@例子.中国 好", "用户@例子.中国"),
    ],
    "card": [
        ("4111 1111 1111 1111", "4111 1111 1111 1111"),
        ("4111111111111111", "4111111111111111"),
        ("amex 3782 822463 10005.", "3782 822463 10005"),
        ("5500-0000-0000-0004", "5500-0000-0000-0004"),
        ("card 4111 1111 1111 1111 12/27", "4111 1111 1111 1111"),
        ("30569309025904", "30569309025904"),
        ("4222222222222 old visa", "4222222222222"),
        ("6011.1111.1111.1117", "6011.1111.1111.1117"),
    ],
    "ip": [
        ("from 192.168.0.1:", "192.168.0.1"),
        ("10.0.0.255/8", "10.0.0.255"),
        ("2001:db8::1 is", "2001:db8::1"),
        ("[::1]:8080", "::1"),
        ("fe80::1ff:fe23:4567:890a%eth0", "fe80::1ff:fe23:4567:890a"),
        ("::ffff:192.0.2.128 x", "::ffff:192.0.2.128"),
        ("at 8.8.8.8.", "8.8.8.8"),
        ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
    ],
    "phone": [
        ("call +49 171 1234567.", "+49 171 1234567"),
        ("+1 (212) 555-0123", "+1 (212) 555-0123"),
        ("212-555-0123", "212-555-0123"),
        ("(212) 555-0123", "(212) 555-0123"),
        ("0171 1234567", "0171 1234567"),
        ("06 12 34 56 78", "06 12 34 56 78"),
        ("020 7946 0958", "020 7946 0958"),
        ("030/1234567", "030/1234567"),
        ("0044 20 7946 0958", "0044 20 7946 0958"),
        ("1-212-555-0123", "1-212-555-0123"),
        ("01711234567", "01711234567"),
        ("+33 6 12 34 56 78, merci", "+33 6 12 34 56 78"),
    ],
}
FALSE: dict[Kind, list[str]] = {
    "email": [
        "a@b",
        "@ann said",
        "x @ y.com",
        "foo@localhost",
        "user@@x",
        "pkg@1.2.3",
        "git@host:p",
    ],
    "card": [
        *("1234 5678 9012 3456", "4111 1111 1111 1112", "order 1234567890123", "1700000000000"),
        *("0000 0000 0000 0000", "1.234567890123456", "ISBN 978-3-16-148410-0"),
    ],
    "ip": [
        *("version 1.2.3", "1.2.3.4.5", "999.1.1.1", "at 12:30:45", "std::vector", "a::b", "10:20"),
        "01:23:45:67:89:ab",
    ],
    "phone": [
        *("2024-01-31", "1,234,567", "from 1990-2000", "order 123456789", "3.14159265358979"),
        *("10.000.000", "1700000000", "0.123456789", "room 101", "12:30", "100 200 300"),
        *("31.01.2024", "2001 2002 2003 2004", "0 1 2 3 4 5 6 7 8 9", "01-02-2024", "05/06/2024"),
    ],
}
_DETECTORS: dict[Kind, Detector] = {
    "email": emails,
    "card": cards,
    "ip": ip_addresses,
    "phone": phones,
}
_THEIRS = {"email": "detect_email", "card": "detect_credit_card", "ip": "detect_ip"}


def _right(kind: Kind, detect: Detector) -> tuple[int, int]:
    """How many texts have found in them exactly what is there, and how many others nothing."""
    found = [[text[slice(*place)] for place in detect(text)] for text, _ in TRUE[kind]]
    exact = sum(one == [wanted] for one, (_, wanted) in zip(found, TRUE[kind], strict=True))
    return exact, sum(not list(detect(text)) for text in FALSE[kind])


@pytest.mark.parametrize("kind", ALL)
def test_all_that_is_there_is_found_and_nothing_else(kind: Kind) -> None:
    assert _right(kind, _DETECTORS[kind]) == (len(TRUE[kind]), len(FALSE[kind]))


@pytest.mark.parametrize("kind", ["email", "card", "ip"])
def test_langchains_detectors_find_less(kind: Kind) -> None:
    """Should one come to find as much, it can take the place of ours."""
    exact, _ = _right(kind, langchain_detector(_THEIRS[kind]))
    assert exact < len(TRUE[kind])


def test_marks_stand_for_it() -> None:
    redact = Redactor((*ALL, "mac"), {"badge": r"\bB-\d{6}\b"})
    said = "bob@example.org, 4111 1111 1111 1111, ::1, +49 171 1234567, 01:23:45:67:89:ab, B-123456"
    assert redact(said) == "[email], [card], [ip], [phone], [mac], [badge]"
    assert Redactor((), {})(said) == said


_HARD = st.sampled_from(
    [*"0159 -.:/@+([]", "4111 1111 1111 1111", "a@b.co", "::1", "+49 171 12345", "[email]", "x"]
)


@given(st.lists(_HARD, max_size=14).map("".join))
def test_twice_is_as_good_as_once(text: str) -> None:
    redact = Redactor(ALL, {"word": "e?mail|x"})
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "piece", ["a-", "a.", "1 ", "a@", "1:", "@a.", "0", "+1 ", "4111 ", "(", "a@a.", "012 ", "4 4"]
)
def test_a_long_text_is_read_at_once(piece: str) -> None:
    """In quadratic time it would take minutes."""
    redact = Redactor(ALL, {"own": "(a+)+[$]|(0|00)+[$]"})
    assert redact(piece * (200_000 // len(piece)))


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "a*", "", "a" * 1001])
def test_a_pattern_that_cannot_be_used_is_refused_at_the_start(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="mine"):
        Redactor((), {"mine": pattern})


def test_nothing_is_imported_for_those_who_do_not_redact() -> None:
    code = "import sys, onionskin.service.app; print({'re2', 'langchain.agents'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
