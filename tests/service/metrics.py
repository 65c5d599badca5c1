"""Reading `/metrics` in tests."""

import re

import httpx


def figure(client: httpx.Client, name: str) -> float:
    """A figure by its name and labels; 0 while nothing was counted."""
    text = client.get("/metrics").text
    found = re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert len(found) <= 1, (name, text)
    return float(found[0]) if found else 0.0


def calls(client: httpx.Client, purpose: str, outcome: str = "answered") -> float:
    """How often the model was called for a purpose, with an outcome."""
    labels = f'outcome="{outcome}",purpose="{purpose}"'
    return figure(client, f"onionskin_model_calls_total{{{labels}}}")


def tokens(client: httpx.Client, purpose: str) -> float:
    """The tokens that the model gave for a purpose."""
    return figure(client, f'onionskin_model_tokens_total{{kind="output",purpose="{purpose}"}}')
