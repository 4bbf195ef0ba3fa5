"""The JSON schema that editors complete job files with."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lab.experiment.job_schema import job_schema, schema_text
from lab.settings import project_dir

JOBS = sorted((project_dir() / "jobs").glob("*.toml"))


def errors(tree: dict[str, Any]) -> list[str]:
    """What the schema says against a job."""
    validator = jsonschema.Draft202012Validator(job_schema())
    return [error.json_path for error in validator.iter_errors(tree)]


def test_the_stored_schema_is_up_to_date() -> None:
    """'lab job schema > jobs/job.schema.json' was run after the last change of the tables."""
    assert (project_dir() / "jobs" / "job.schema.json").read_text() == schema_text()


def test_the_schema_is_one() -> None:
    """It fits the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(job_schema())


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_every_job_fits_the_schema(path: Path) -> None:
    """What 'lab job check' takes, an editor takes."""
    assert errors(tomllib.loads(path.read_text())) == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"machine": {"vcpu": 4}}, "$.machine"),
        ({"machine": {"controller": [{"disk": [{"aio": "naitve"}]}]}}, "$.machine.controller[0].disk[0].aio"),
        ({"factors": {"mapping": "none"}}, "$.factors.mapping"),
        ({"factors": {"cache": ["none", "no"]}}, "$.factors.cache[1]"),
        ({"factors": {"iodepth": [1, 1]}}, "$.factors.iodepth"),
        ({"title": None}, "$.title"),
    ],
)
def test_a_mistake_is_underlined(change: dict[str, Any], place: str) -> None:
    """At the key it is in, also inside factors."""
    good = tomllib.loads(JOBS[0].read_text())
    assert errors(good | change) == [place]


def test_nothing_may_be_null() -> None:
    """TOML has no such word; a key that is not wanted is left out."""
    assert '"null"' not in json.dumps(job_schema())
    assert '"default": null' not in schema_text()
