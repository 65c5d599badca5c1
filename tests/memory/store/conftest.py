"""What tests of the store on several servers share."""

from collections.abc import Iterator

import pytest

from tests.topologies.cluster import let_go


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Once nothing of the test is held any more, what redis-py left open is collected."""
    yield
    let_go()
