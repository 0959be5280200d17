"""The example file is a right one, for gatewayd and for an editor with the JSON Schema."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gatewayd.registry import load_registry
from gatewayd.settings.load import check_settings, load_settings
from gatewayd.settings.model import Settings
from gatewayd.settings.schema import settings_schema
from tests.settings.conftest import REGISTRY
from tests.settings.example_files import EXAMPLE, ROOT, example_site


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    made: dict[str, Any] = json.loads((ROOT / "config" / "gatewayd.schema.json").read_text())
    return made


@pytest.fixture
def example() -> dict[str, Any]:
    return tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))


def errors(schema: dict[str, Any], value: object) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema)
    return [error.message for error in validator.iter_errors(value)]


def test_the_example_has_no_problem_where_its_files_are(tmp_path: Path) -> None:
    path = example_site(tmp_path)
    registry = load_registry()
    assert [str(problem) for problem in check_settings(path, registry)] == []
    loaded = load_settings(path, registry)
    assert loaded.options["main-gate-in"].port.endswith("main-gate-in-if00-port0")
    assert loaded.settings.console is not None
    assert loaded.settings.console.key_file == tmp_path / "tls" / "console.key"


def test_the_example_shows_every_table(example: dict[str, Any]) -> None:
    assert example.keys() == set(Settings.model_fields)


def test_each_file_that_the_example_names_is_missed_if_it_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "gatewayd.toml"
    path.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    keys = [problem.key for problem in check_settings(path, load_registry())]
    assert keys == [
        "site.pin_key_file",
        "reader.gatehouse-back-in.key_file",
        "camera.main-gate-face.password_file",
        "camera.main-gate-overview.password_file",
        "link.password_file",
        "link.ca_file",
        "link.central_keys_file",
        "console.certificate_file",
        "console.key_file",
        "console.operators_file",
    ]


def test_the_example_fits_the_schema(schema: dict[str, Any], example: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    assert errors(schema, example) == []


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("reader", "debounce", 5),  # an unknown key
        ("reader", "baud_rate", "9600"),  # a wrong type
        ("reader", "driver", "rtsp"),  # a camera's driver
        ("camera", "ring_s", 1),  # out of range
        ("door", "id", "Main Gate"),  # no id
        ("linkage", "when", "door.exploded"),  # no such event
        ("linkage", "then", [{"do": "dance"}]),  # no such action
        ("linkage", "then", []),
    ],
)
def test_a_mistake_in_a_device_does_not_fit_the_schema(
    schema: dict[str, Any], example: dict[str, Any], table: str, key: str, value: object
) -> None:
    example[table][0][key] = value
    assert errors(schema, example)


def test_a_camera_needs_no_driver_and_a_reader_does(
    schema: dict[str, Any], example: dict[str, Any]
) -> None:
    del example["camera"][0]["driver"]
    assert errors(schema, example) == []
    del example["reader"][0]["driver"]
    assert errors(schema, example)


def test_the_schema_knows_the_drivers_of_others_too() -> None:
    made = settings_schema(REGISTRY)
    (shape,) = made["properties"]["reader"]["items"]["oneOf"]
    assert shape["properties"]["driver"]["const"] == "tags"
    assert shape["properties"]["baud"]["minimum"] == 300
    assert shape["required"] == ["id", "name", "door", "driver", "port"]
    assert "secret_file" not in json.dumps(made)
