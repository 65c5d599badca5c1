"""Sources of settings: the command line, the environment, `.env`, and `onionskin.toml`."""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, TomlConfigSettingsSource

from onionskin.memory.errors import ConfigurationError

PREFIX = "ONIONSKIN_"
DOT_ENV = Path(".env")
_DEFAULT_FILE = "onionskin.toml"
_CLIENT_VARIABLES = {"ONIONSKIN_URL", "ONIONSKIN_API_KEY", "ONIONSKIN_CONFIG"}
_PLACES = {
    "InitSettingsSource": "command line",
    "EnvSettingsSource": "environment",
    "DotEnvSettingsSource": str(DOT_ENV),
}


def settings_file(settings: type[BaseSettings]) -> PydanticBaseSettingsSource:
    """The source that reads the TOML file of `ONIONSKIN_CONFIG`, or else `onionskin.toml`.

    Raises:
        ConfigurationError: the file is missing or not TOML.
    """
    file = settings_path()
    try:
        return TomlConfigSettingsSource(settings, file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{str(file)!r} cannot be read: {error}.") from error


def settings_path() -> Path:
    """The TOML file of settings; the default one need not exist.

    Raises:
        ConfigurationError: `ONIONSKIN_CONFIG` names a missing file.
    """
    named = os.environ.get("ONIONSKIN_CONFIG", "")
    if named and not Path(named).is_file():
        raise ConfigurationError(f"ONIONSKIN_CONFIG names {named!r}, and there is no such file.")
    return Path(named or _DEFAULT_FILE)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return name.upper() if name.upper().endswith("OPENAI_API_KEY") else f"{PREFIX}{name.upper()}"


def misspelt(environment: Mapping[str, str], known: Iterable[str]) -> dict[str, str]:
    """Unknown `ONIONSKIN_*` variables, each with the most similar setting, or ''."""
    variables = {variable(name) for name in known} | _CLIENT_VARIABLES
    unknown = {name for name in environment if name.startswith(PREFIX)} - variables
    return {name: closest(name, variables) for name in sorted(unknown)}


def closest(name: str, known: Iterable[str]) -> str:
    """The known name most similar to `name`, or ''."""
    return next(iter(difflib.get_close_matches(name, list(known), 1)), "")


def origins(settings: type[BaseSettings], overrides: Mapping[str, Any]) -> dict[str, str]:
    """The source of each setting that is not at its default."""
    by_name: dict[str, str] = {}
    for source in settings.settings_customise_sources(settings, *_sources(settings, overrides)):
        place = _PLACES.get(type(source).__name__, str(settings_path()))
        for key in source():
            name = key.lower().removeprefix(PREFIX.lower())
            by_name.setdefault(name, place)
    return by_name


def _sources(
    settings: type[BaseSettings], overrides: Mapping[str, Any]
) -> tuple[PydanticBaseSettingsSource, ...]:
    from pydantic_settings import (  # noqa: PLC0415 - only for messages and `config show`
        DotEnvSettingsSource,
        EnvSettingsSource,
        InitSettingsSource,
        SecretsSettingsSource,
    )

    return (
        InitSettingsSource(settings, dict(overrides)),
        EnvSettingsSource(settings),
        DotEnvSettingsSource(settings),
        SecretsSettingsSource(settings),
    )
