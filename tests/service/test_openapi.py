"""The OpenAPI description is complete: every operation, every problem, examples that work."""

from typing import Any

import pytest

from onionskin.service.app import create_app
from onionskin.service.openai.errors import PREFIXES as OPENAI
from onionskin.service.settings import load_settings
from tests.service.conftest import Backend

_METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return create_app(load_settings()).openapi()


def _operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, item in schema["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    ]


def test_every_operation_says_what_it_does_and_answers(schema: dict[str, Any]) -> None:
    operations = _operations(schema)
    assert len(operations) >= 10
    for path, method, operation in operations:
        assert operation["summary"], path
        assert operation["description"], path
        assert operation["tags"], path
        assert {"200", "201"} & set(operation["responses"]), (path, method)


def test_every_problem_has_the_schema_of_problems(schema: dict[str, Any]) -> None:
    assert {"type", "title", "status", "detail", "code"} <= set(
        schema["components"]["schemas"]["Problem"]["properties"]
    )
    for path, method, operation in _operations(schema):
        for status, response in operation["responses"].items():
            if status >= "400":
                content, plain = response["content"], "application/problem+json"
                wanted = "application/json" if path.startswith(OPENAI) else plain
                assert set(content) == {wanted}, (path, method, status)


def test_the_examples_of_the_description_work(schema: dict[str, Any], backend: Backend) -> None:
    examples = schema["components"]["schemas"]["ChatRequest"]["examples"]
    for example in examples:
        assert backend.client.post("/v1/chat", json=example).is_success
    operation = schema["paths"]["/v1/users/{user_id}/import"]["post"]
    line = operation["requestBody"]["content"]["application/x-ndjson"]["example"]
    parameters = {one["name"]: one for one in operation["parameters"]}
    name = parameters["import_id"]["schema"]["examples"][0]
    url = "/v1/users/alice/import"
    assert backend.client.post(url, params={"import_id": name}, content=line).is_success


def test_the_page_of_the_api_answers(backend: Backend) -> None:
    assert backend.client.get("/docs").is_success
    assert backend.client.get("/openapi.json").json()["info"]["title"] == "Onionskin"
