"""A results folder of exactly what is asked: begun, gone on with, or refused. test_conduct.py asks from outside."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.errors import InputError
from lab.experiment.question import Choices, question_text
from lab.experiment.resume import Asked, begin_or_resume, unfinished
from lab.experiment.store import HOST, ResultsFolder
from lab.record import Arm, Cell, Point
from lab.testing import RecordingProgress
from tests.unit.experiment.made_up import loaded_job

CELLS = tuple(Cell(arm, Point(())) for arm in Arm)
BUILDS: dict[str, Any] = {arm.value: {"binary_sha256": arm.value, "firmware_sha256": {}} for arm in Arm}
HERE: dict[str, Any] = {
    "fingerprint": "f00d",
    "accelerator": "tcg",
    "guest_image": "1234",
    "cpu_plan": {"threads": {"vcpu0": [1]}, "cannot_claim": ["nothing"]},
    "settings": {"knobs": {"thp": "madvise", "smt": None}},
}


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    """Return a question, on a host."""
    choices = Choices("r", "job", "quick", 5, "my.mbox", "1234", "tcg", "[job]", "", "lab run", blocks=2)
    return Asked(question_text(loaded_job(tmp_path), choices), choices, HERE, BUILDS)


def _resume(folder: Path, asked: Asked, *, seed: int | None = None) -> list[str]:
    progress = RecordingProgress()
    with ResultsFolder(folder) as results:
        begin_or_resume(results, asked, CELLS, seed=seed, progress=progress)
    return progress.lines


def test_an_empty_folder_is_begun_and_then_gone_on_with(tmp_path: Path, asked: Asked) -> None:
    """The schedule is drawn once, from the seed."""
    folder = tmp_path / "r"
    assert _resume(folder, asked) == [f"results go to {folder}"]
    schedule = ResultsFolder(folder).schedule()
    assert [run.block for run in schedule] == [1, 1, 2, 2]
    assert _resume(folder, asked, seed=5) == [f"going on with {folder}"]
    assert ResultsFolder(folder).schedule() == schedule


@pytest.mark.parametrize(
    ("host", "difference"),
    [
        ({"cpu_plan": {"threads": {"vcpu0": [2]}}}, "the CPU plan"),
        ({"cpu_plan": {"threads": {}}}, "the CPU plan"),
        ({"settings": {"knobs": {"thp": "never", "smt": "on"}}}, r"settings of the host \(thp, smt\)"),
        ({"fingerprint": "cafe"}, "fingerprint of the host"),
    ],
    ids=["another CPU", "not pinned", "other settings", "another host"],
)
def test_runs_of_another_host_state_are_not_mixed(
    tmp_path: Path, asked: Asked, host: dict[str, Any], difference: str
) -> None:
    """What differs is named, and nothing was changed."""
    _resume(tmp_path / "r", asked)
    with pytest.raises(InputError, match=f"what differs: {difference}$"):
        _resume(tmp_path / "r", replace(asked, host=HERE | host))


def test_what_follows_from_a_plan_is_no_difference(tmp_path: Path, asked: Asked) -> None:
    """Only where the threads run is: a later lab may word its sentences differently."""
    _resume(tmp_path / "r", asked)
    reworded = replace(asked, host=HERE | {"cpu_plan": {"threads": {"vcpu0": [1]}, "cannot_claim": []}})
    assert _resume(tmp_path / "r", reworded)[0].startswith("going on")


@pytest.mark.parametrize("stored", [{}, {"cpu_plan": "none", "settings": [1]}, {"settings": {"knobs": 3}}])
def test_a_folder_that_says_nothing_of_plan_and_settings_is_gone_on_with(
    tmp_path: Path, asked: Asked, stored: dict[str, Any]
) -> None:
    """One that an earlier lab began."""
    _resume(tmp_path / "r", asked)
    kept = {key: HERE[key] for key in ("fingerprint", "accelerator", "guest_image")}
    (tmp_path / "r" / HOST).write_text(json.dumps(kept | stored))
    assert _resume(tmp_path / "r", asked) == [f"going on with {tmp_path / 'r'}"]


def test_an_unfinished_folder_of_another_plan_is_not_gone_on_with(tmp_path: Path, asked: Asked) -> None:
    """Nobody named it: a new one is begun instead."""
    _resume(tmp_path / "results" / "r", asked)
    assert unfinished(asked, tmp_path / "results") == tmp_path / "results" / "r"
    moved = replace(asked, host=HERE | {"cpu_plan": {"threads": {}}})
    assert unfinished(moved, tmp_path / "results") is None


def test_a_damaged_folder_is_passed_over(tmp_path: Path, asked: Asked) -> None:
    """It is somebody's to look at."""
    _resume(tmp_path / "results" / "r", asked)
    (tmp_path / "results" / "r" / HOST).write_text("torn")
    assert unfinished(asked, tmp_path / "results") is None
