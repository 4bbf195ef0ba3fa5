import shlex
from dataclasses import replace

import pytest

from lab.analysis.question import Question
from lab.record import Arm, Cell, Point
from lab.report.again import commands_for_cell, experiment_again, words_of_command
from tests.unit.analysis.campaign import BUILDS, Campaign
from tests.unit.report.examples import HOSTILE, results

CELL = Cell(Arm.CANDIDATE, Point.from_levels({"iothreads": 4}))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("lab bench", []),
        ("lab run jobs/x.toml --profile quick --seed 3", ["jobs/x.toml"]),
        (
            "lab run --tree ../q --base=v10.0.0 'my job.toml' --series s.mbox --results r --json",
            ["--tree=../q", "--base=v10.0.0", "my job.toml", "--series=s.mbox"],
        ),
        ("lab run --tune jobs/x.toml --no-proof --wait --series s.mbox", ["jobs/x.toml", "--series=s.mbox"]),
        ("lab bench --quiet --job x.toml --accelerator kvm", ["x.toml", "--accelerator=kvm"]),
    ],
)
def test_a_cell_comes_back_with_what_the_experiment_was_given(command: str, words: list[str]) -> None:
    """Job, tree and series are kept; what says how an experiment is conducted is not."""
    shell, command_line = commands_for_cell(Question("t", command=command), CELL)
    assert shlex.split(shell) == ["lab", "shell", *words, "--cell", "candidate.iothreads=4"]
    assert shlex.split(command_line)[1] == "command-line"


@pytest.mark.parametrize("command", ["", "lab", "rm -rf /", "x lab run y"])
def test_an_unknown_command_gives_none(command: str) -> None:
    """What was not the lab cannot be made again by the lab."""
    assert commands_for_cell(Question("t", command=command), CELL) == ()


def test_foreign_words_stay_single_words() -> None:
    """A cell or a path with quotes and newlines in it is quoted, so that pasting it runs nothing else."""
    cell = Cell(Arm.BASELINE, Point.from_levels({"bs": "4k; rm -rf ~ $(id) `id`"}))
    question = Question("t", command=shlex.join(["lab", "run", f"{HOSTILE}; id", "--series", "a\nb"]))
    for command in commands_for_cell(question, cell):
        assert shlex.split(command)[2:] == [f"{HOSTILE}; id", "--series=a\nb", "--cell", cell.id]


def test_a_command_that_no_shell_reads_has_words_all_the_same() -> None:
    """An open quote in a stored command is not an error of the report."""
    assert words_of_command("lab bench 'half") == ["lab", "bench", "'half"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("lab bench", []),
        ("lab run jobs/virtio-scsi-iothreads.toml --profile full --seed 3 --json", []),
        ("lab run --auto --series s.mbox", ["--series=s.mbox"]),
        (
            "lab bench --tree q --series s.mbox --tune --pin off",
            [f"--tree=q --base={'e' * 40}", "--series=s.mbox --pin=off --tune"],
        ),
        ("lab bench --tree q --base HEAD~3", [f"--tree=q --base={'e' * 40}"]),
        ("lab run jobs/virtio-scsi-iothreads.toml --tree q --range v1..topic", ["--tree=q", "--range=v1..topic"]),
    ],
)
def test_an_experiment_comes_back_with_the_same_order_of_runs(typed: str, words: list[str]) -> None:
    """Profile, seed and base are those that it had, whatever has moved since; how it reported is left out."""
    made = results(Campaign(), builds={**BUILDS, "base_commit": "e" * 40})
    again = experiment_again(replace(made, question=replace(made.question, command=typed)))
    wanted = " ".join(["lab run jobs/virtio-scsi-iothreads.toml", *words, "--profile=quick", "--seed=7"])
    assert again.command == wanted and dict(again.facts)["typed"] == typed


def test_a_series_is_named_as_an_archive_knows_it() -> None:
    """Title, revision and the message-id of its first patch; the base with the package it came from."""
    series = {"title": "t", "revision": 2, "patches": [{"subject": "s", "message_id": "1@example.org"}]}
    builds = {**BUILDS, "series": series, "baseline": {**BUILDS["baseline"], "origin": "qemu 1:10.0.13"}}  # type: ignore[dict-item]
    facts = dict(experiment_again(results(Campaign(), builds=builds)).facts)
    assert facts["series"] == "t, v2, <1@example.org>"
    assert facts["base commit"].endswith("cdef01234567 of qemu 1:10.0.13")


@pytest.mark.parametrize("typed", ["", "lab calibrate jobs/x.toml", "make bench"])
def test_what_was_no_experiment_of_a_job_is_shown_as_typed(typed: str) -> None:
    """Nothing is made up, and a CSV file has nothing."""
    made = results(Campaign())
    assert experiment_again(replace(made, question=replace(made.question, command=typed))).command == typed
    bare = replace(made, builds={}, question=Question("t"))
    assert experiment_again(bare).command == "" and experiment_again(bare).facts == ()
