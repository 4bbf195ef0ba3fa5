import shlex

import pytest

from lab.analysis.question import Question
from lab.record import Arm, Cell, Point
from lab.report.again import commands_for_cell, words_of_command
from tests.unit.report.examples import HOSTILE

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
