"""The command line's client of the running service."""

import os

import httpx

from memory.errors import StrataError


class ServiceError(StrataError):
    """The service could not be reached, or answered with a problem."""

    code = "service"


def open_client(url: str, *, timeout: httpx.Timeout | float) -> httpx.Client:
    """A client that shows the API key of `STRATA_API_KEY`, where there is one."""
    return httpx.Client(base_url=url, timeout=timeout, headers=credentials())


def credentials() -> dict[str, str]:
    """The headers that show the API key of `STRATA_API_KEY`, where there is one."""
    key = os.environ.get("STRATA_API_KEY", "").strip()
    return {"Authorization": f"Bearer {key}"} if key else {}


def detail(response: httpx.Response) -> str:
    """What a problem says."""
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The service answered {response.status_code}."


def unreachable(client: httpx.Client, error: httpx.HTTPError) -> str:
    """What to say of a service that does not answer."""
    return (
        f"The service at {client.base_url} cannot be reached ({type(error).__name__}). "
        "Start it with `make run`, or name another with --url."
    )
