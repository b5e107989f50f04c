"""docs/http-api.md and the application name the same routes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from chatsync import errors
from chatsync.errors import ChatsyncError
from chatsync.service.app import create_app
from chatsync.service.problems import HTTP_CODES
from chatsync.service.settings import Settings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "http-api.md").read_text("utf-8")
HEADINGS = set(re.findall(r"^### `([A-Z]+ \S+)`$", PAGE, re.MULTILINE))
OUTSIDE_THE_SCHEMA = {
    "GET /metrics",
    "WS /v1/rooms/{room}/live",
    "GET /player/{file}",
    "GET /watch/{room}",
    "GET /watch/{room}/{recording}",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The application, not started."""
    secret = SecretStr("f1d2c3b4a5968778695a4b3c2d1e0f00ffeeddccbbaa9988")
    return create_app(Settings(data_folder=tmp_path_factory.mktemp("data"), token_secret=secret))


def test_every_route_has_its_heading_and_every_heading_its_route(app: FastAPI) -> None:
    """No route is missing from the page, and the page tells of none that does not exist."""
    routes = {f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods}

    assert routes | OUTSIDE_THE_SCHEMA == HEADINGS


def test_every_query_parameter_is_told(app: FastAPI) -> None:
    """A parameter stands in the section of its route."""
    sections = dict(re.findall(r"^### `([A-Z]+ \S+)`$(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
    missing = [
        f"{method.upper()} {path}: {parameter['name']}"
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query" and f"`{parameter['name']}`" not in sections[f"{method.upper()} {path}"]
    ]

    assert [] == missing


def test_every_example_is_json() -> None:
    """What the page prints as an answer can be parsed."""
    examples = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

    assert len(examples) > 10
    for example in examples:
        json.loads(example)


def test_every_code_of_an_error_that_a_client_may_get_is_listed() -> None:
    """The table of errors has every code and status of our own errors that reach a client over HTTP."""
    listed = {
        code for row in re.findall(r"^\| [\d ·]+ \|(.*?)\|", PAGE, re.MULTILINE) for code in re.findall(r"`(\w+)`", row)
    }
    at_start_or_abstract = {"error", "settings", "origin", "timeline", "room", "no_program_time", "malformed"}
    of_commands = {"file", "file_format", "file_damaged", "file_unplaced"}  # of ``chatsync import``
    own = {
        value.code
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, ChatsyncError) and "code" in vars(value)
    }

    assert own - at_start_or_abstract - of_commands <= listed
    assert {HTTP_CODES[status] for status in (400, 401, 404, 405, 413, 422)} <= listed
