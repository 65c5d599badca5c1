"""HTTP client of the command line for the running service."""

import os

import httpx

from onionskin.memory.errors import ConfigurationError, OnionskinError

_UNAVAILABLE = {502, 503, 504}


class ServiceError(OnionskinError):
    """The service refused a request or a file."""

    code = "service"


class ServiceAwayError(ServiceError):
    """The service, or something it depends on, cannot be reached."""

    code = "service_away"


def open_client(url: str, *, timeout: httpx.Timeout | float) -> httpx.Client:
    """A client that sends the API key of `ONIONSKIN_API_KEY`, if set.

    Raises:
        ConfigurationError: The URL is invalid.
    """
    try:
        base_url = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{url!r} is not a URL: {error}.") from error
    if base_url.scheme not in {"http", "https"} or not base_url.host:
        raise ConfigurationError(
            f"{url!r} is not the URL of a service, such as http://127.0.0.1:8000."
        )
    return httpx.Client(base_url=base_url, timeout=timeout, headers=credentials())


def credentials() -> dict[str, str]:
    """The headers with the API key of `ONIONSKIN_API_KEY`, if set."""
    key = os.environ.get("ONIONSKIN_API_KEY", "").strip()
    return {"Authorization": f"Bearer {key}"} if key else {}


def refused(response: httpx.Response) -> ServiceError:
    """The error of a response that holds a problem."""
    kind = ServiceAwayError if response.status_code in _UNAVAILABLE else ServiceError
    try:
        return kind(str(response.json()["detail"]))
    except (ValueError, KeyError, TypeError):
        message = f"{response.url} answered {response.status_code}, but not in Onionskin's format."
        return kind(f"{message} See --url and ONIONSKIN_URL.")


def unreachable(client: httpx.Client, error: httpx.HTTPError, more: str = "") -> ServiceAwayError:
    """The error of a service that does not answer."""
    message = (
        f"The service at {client.base_url} cannot be reached ({type(error).__name__}). "
        "Start it with `onionskin serve`, or choose another with --url."
    )
    return ServiceAwayError(f"{message} {more}".rstrip())
