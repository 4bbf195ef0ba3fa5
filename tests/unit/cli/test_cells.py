"""The options of verbs about cells."""

from __future__ import annotations

import dataclasses
from typing import Any

import click
from click.testing import CliRunner

from lab.cli.cells import DEFAULT_JOB, arms_options, call_to_reproduce
from lab.experiment.arms import ArmsRequest
from lab.settings import project_dir


def test_the_options_are_those_of_a_request() -> None:
    """Each names a field of the request, and none is set unless it is given."""
    seen: list[dict[str, Any]] = []

    @click.command()
    @arms_options
    def verb(**options: Any) -> None:
        seen.append(options)

    words = ("--tree", "t", "--base", "b", "--range", "b..c", "--series", "s", "--revision", "2")
    assert CliRunner().invoke(verb, ()).exit_code == 0 and CliRunner().invoke(verb, words).exit_code == 0
    fields = {field.name for field in dataclasses.fields(ArmsRequest)}
    assert all(set(options) <= fields for options in seen)
    assert set(seen[0].values()) == {None} and None not in seen[1].values()
    assert ArmsRequest(**seen[1]).revision == 2


def test_the_main_job_is_there() -> None:
    """What is meant where no job is named."""
    assert (project_dir() / DEFAULT_JOB).is_file()


def test_the_call_that_reproduces_an_experiment_makes_a_folder_of_its_own() -> None:
    """Either way of naming the old one is left out, and nothing else."""
    for results in (("--results", "my results"), ("--results=r",)):
        words = ("run", "a job.toml", *results, "--seed", "7")
        assert call_to_reproduce(words) == "lab run 'a job.toml' --seed 7"
    assert call_to_reproduce(("run", "--results")) == "lab run"
