"""One service for all that is asked of it as of OpenAI: each test has users of its own."""

from collections.abc import Iterator

import pytest
from openai import OpenAI

from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.openai_server import OpenAIServer
from tests.service.conftest import Backend, running_backend, serving_model


@pytest.fixture(scope="package")
def model() -> Iterator[OpenAIServer]:
    with serving_model() as server:
        yield server


@pytest.fixture(scope="package")
def backend(model: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running_backend(model, tmp_path_factory.mktemp("onionskin")) as found:
        yield found


@pytest.fixture(scope="package")
def workers(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Backend]]:
    """The service, and another worker on its Redis."""
    url = EmbeddedRedis(backend.service.data_dir).url
    folder = tmp_path_factory.mktemp("other")
    with running_backend(backend.model, folder, ONIONSKIN_REDIS_URL=url) as other:
        yield [backend, other]


@pytest.fixture(scope="package")
def client(backend: Backend) -> Iterator[OpenAI]:
    """OpenAI's own SDK, which does not try again by itself."""
    with OpenAI(base_url=f"{backend.service.url}/v1", api_key="any", max_retries=0) as found:
        yield found
