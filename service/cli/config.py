"""`onionskin config`: the settings in effect and their sources."""

import os
from dataclasses import dataclass
from datetime import timedelta

import typer

from onionskin.service.cli.options import AsJson, example

_EXAMPLE = example("onionskin config show")
app = typer.Typer(
    help="The settings in effect and their sources.", no_args_is_help=True, epilog=_EXAMPLE
)


@app.callback()
def config() -> None:
    """The settings in effect and their sources."""


@app.command(epilog=_EXAMPLE)
def show(*, as_json: AsJson = False) -> None:
    """Show every setting, with secrets masked, and its source.

    The order of precedence is: command line, environment, .env, onionskin.toml (or the file that
    ONIONSKIN_CONFIG names).
    """
    show_settings(as_json=as_json)


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """A setting in effect: its variable, its value with secrets masked, and its source."""

    variable: str
    value: str
    origin: str


def effective_settings(**overrides: object) -> list[EffectiveSetting]:
    """Every setting.

    Raises:
        ConfigurationError: a setting is invalid.
    """
    from onionskin.service.settings import Settings, load_settings
    from onionskin.service.settings_sources import origins, variable

    settings = load_settings(**overrides)
    places = origins(Settings, overrides)
    return [
        EffectiveSetting(
            variable(name), _text(name, getattr(settings, name)), places.get(name, "default")
        )
        for name in Settings.model_fields
    ]


def show_settings(*, as_json: bool) -> None:
    """Print every setting, secrets masked, and the variables that look misspelt."""
    from onionskin.service.console import remark, say_json, say_table
    from onionskin.service.settings import Settings
    from onionskin.service.settings_sources import misspelt

    settings = effective_settings()
    unknown = misspelt(os.environ, Settings.model_fields)
    if as_json:
        values = {
            setting.variable: {"value": setting.value or None, "from": setting.origin}
            for setting in settings
        }
        say_json({"settings": values, "unknown": unknown})
        return
    say_table(
        ("setting", "value", "from"),
        (
            (
                (setting.variable, setting.value, setting.origin),
                "dim" if setting.origin == "default" else "bold",
            )
            for setting in settings
        ),
    )
    for name, similar in unknown.items():
        hint = f"; did you mean {similar}?" if similar else "."
        remark(f"{name} is no setting{hint}", style="yellow")


def _text(name: str, value: object) -> str:
    from onionskin.service.settings import MASK, is_secret

    if value is None:
        return ""
    if is_secret(name):
        return MASK
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}"
    return str(value)
