"""Settings: the command line goes first, then the environment, `.env` and `onionskin.toml`."""

import json
import os
from pathlib import Path

import pytest

from onionskin.memory.errors import ConfigurationError
from onionskin.service.cli.config import effective_settings, show_settings
from onionskin.service.settings import load_settings


@pytest.fixture(autouse=True)
def an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("ONIONSKIN_") or name == "OPENAI_API_KEY":
            monkeypatch.delenv(name)


def _origins() -> dict[str, tuple[str, str]]:
    return {setting.variable: (setting.value, setting.origin) for setting in effective_settings()}


def test_each_source_goes_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("onionskin.toml").write_text("port = 1\nmodel = 'offline'\nredis_timeout = 2.5\n")
    Path(".env").write_text(
        "ONIONSKIN_PORT=2\nONIONSKIN_PROFILE=window\nOPENAI_API_KEY=sk-9\nOTHER=1\n"
    )
    monkeypatch.setenv("ONIONSKIN_PROFILE", "vector")
    settings = load_settings(language="german")
    assert (settings.port, settings.model, settings.profile) == (2, "offline", "vector")
    assert settings.redis_timeout.total_seconds() == 2.5
    assert settings.openai_api_key is not None
    found = _origins()
    assert found["ONIONSKIN_PORT"] == ("2", ".env")
    assert found["ONIONSKIN_MODEL"] == ("offline", "onionskin.toml")
    assert found["ONIONSKIN_REDIS_TIMEOUT"] == ("2.5", "onionskin.toml")
    assert found["ONIONSKIN_PROFILE"] == ("vector", "environment")
    assert found["OPENAI_API_KEY"] == ("********", ".env")
    assert found["ONIONSKIN_HOST"] == ("127.0.0.1", "default")
    assert {one.variable: one.origin for one in effective_settings(port=7)}[
        "ONIONSKIN_PORT"
    ] == "command line"


def test_a_named_file_is_read_instead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Path("onionskin.toml").write_text("port = 1\n")
    (tmp_path / "other.toml").write_text("port = 3\n")
    monkeypatch.setenv("ONIONSKIN_CONFIG", "other.toml")
    assert load_settings().port == 3
    monkeypatch.setenv("ONIONSKIN_CONFIG", "missing.toml")
    with pytest.raises(ConfigurationError, match=r"'missing.toml', and there is no such file"):
        load_settings()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "onionskin.toml",
            "prot = 1",
            r"ONIONSKIN_PROT \(in onionskin.toml\). Did you mean ONIONSKIN_PORT",
        ),
        ("onionskin.toml", "port = 'x'", r"ONIONSKIN_PORT cannot be 'x' \(in onionskin.toml\)"),
        ("onionskin.toml", "port = ", r"'onionskin.toml' cannot be read"),
        (".env", "ONIONSKIN_PROT=1", r"ONIONSKIN_PROT \(in .env\). Did you mean ONIONSKIN_PORT"),
        (".env", "ONIONSKIN_PORT=x", r"ONIONSKIN_PORT cannot be 'x' \(in .env\)"),
    ],
)
def test_what_cannot_be_used_is_reported_with_its_place(file: str, text: str, message: str) -> None:
    Path(file).write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_settings()


def test_no_secret_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONIONSKIN_REDIS_URL", "redis://:hunter2@there")
    monkeypatch.setenv("ONIONSKIN_ENCRYPTION_KEYS", "k1:hunter2")
    monkeypatch.setenv("ONIONSKIN_PROT", "1")
    show_settings(as_json=False)
    show_settings(as_json=True)
    printed, said = capsys.readouterr()
    assert "hunter2" not in printed + said
    assert "ONIONSKIN_PROT is no setting; did you mean ONIONSKIN_PORT?" in said
    report = json.loads(printed.splitlines()[-1])
    assert report["settings"]["ONIONSKIN_REDIS_URL"] == {"value": "********", "from": "environment"}
    assert report["settings"]["ONIONSKIN_MODEL"] == {"value": None, "from": "default"}
    assert report["unknown"] == {"ONIONSKIN_PROT": "ONIONSKIN_PORT"}
