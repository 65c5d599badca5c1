"""The command line's client of the running service."""

import os

import httpx

from onionskin.memory.errors import ConfigurationError, OnionskinError

_AWAY = {502, 503, 504}


class ServiceError(OnionskinError):
    """The service answered with a problem, or a file is not what it takes."""

    code = "service"


class ServiceAwayError(ServiceError):
    """The service, or what it needs, cannot be reached."""

    code = "service_away"


def open_client(url: str, *, timeout: httpx.Timeout | float) -> httpx.Client:
    """A client that shows the API key of `ONIONSKIN_API_KEY`, where there is one.

    Raises:
        ConfigurationError: the URL is none.
    """
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{url!r} is no URL: {error}.") from error
    if found.scheme not in {"http", "https"} or not found.host:
        raise ConfigurationError(f"{url!r} is no URL of a service, such as http://127.0.0.1:8000.")
    return httpx.Client(base_url=found, timeout=timeout, headers=credentials())


def credentials() -> dict[str, str]:
    """The headers that show the API key of `ONIONSKIN_API_KEY`, where there is one."""
    key = os.environ.get("ONIONSKIN_API_KEY", "").strip()
    return {"Authorization": f"Bearer {key}"} if key else {}


def refused(response: httpx.Response) -> ServiceError:
    """What a problem says, as an error."""
    kind = ServiceAwayError if response.status_code in _AWAY else ServiceError
    try:
        return kind(str(response.json()["detail"]))
    except (ValueError, KeyError, TypeError):
        told = f"{response.url} answered {response.status_code}, and not as Onionskin does."
        return kind(f"{told} See --url and ONIONSKIN_URL.")


def unreachable(client: httpx.Client, error: httpx.HTTPError, more: str = "") -> ServiceAwayError:
    """What to say of a service that does not answer."""
    told = (
        f"The service at {client.base_url} cannot be reached ({type(error).__name__}). "
        "Start it with `onionskin serve`, or name another with --url."
    )
    return ServiceAwayError(f"{told} {more}".rstrip())
