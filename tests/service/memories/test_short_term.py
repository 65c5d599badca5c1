"""Short-term memories: how long they live by the settings; the average importance of all."""

from datetime import datetime, timedelta

import pytest

from tests.service.conftest import Backend


@pytest.fixture(scope="module")
def settings_of_backend() -> dict[str, str]:
    return {"ONIONSKIN_SHORT_TERM": "P2D"}


def test_the_setting_decides_how_long_a_short_term_memory_lives(backend: Backend) -> None:
    url = "/v1/users/ann/memories"
    body = {"content": "Meets Bo.", "term": "short"}
    made = backend.client.post(url, json=body).raise_for_status().json()
    lifetime = datetime.fromisoformat(made["expires"]) - datetime.fromisoformat(made["created"])
    assert lifetime == timedelta(days=2)
    named = body | {"expires": "2999-01-01T00:00:00Z"}
    made = backend.client.post(url, json=named).raise_for_status().json()
    assert made["expires"].startswith("2999-01-01")
    changed = backend.client.post(url, json={"content": "Long."}).raise_for_status().json()
    patched = backend.client.patch(f"{url}/{changed['id']}", json={"term": "short"}).json()
    lifetime = datetime.fromisoformat(patched["expires"]) - datetime.fromisoformat(
        patched["updated"]
    )
    assert lifetime == timedelta(days=2)


def test_statistics_have_the_average_importance(backend: Backend) -> None:
    url = "/v1/users/bo/memories"
    assert backend.client.get(f"{url}/stats").json()["average_importance"] is None
    for importance in (0.2, 0.6, 1.0):
        body = {"content": f"Fact {importance}.", "importance": importance}
        backend.client.post(url, json=body).raise_for_status()
    average = backend.client.get(f"{url}/stats").json()["average_importance"]
    assert average == pytest.approx(0.6)
