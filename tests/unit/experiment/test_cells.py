"""A job to its cells, each of which makes a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import InputError
from lab.experiment.cells import cell_from_id, checked_cells
from lab.experiment.job import LoadedJob
from tests.unit.experiment.made_up import loaded_job
from tests.unit.experiment.test_job import GOOD


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedJob:
    """Return the good job."""
    return loaded_job(tmp_path)


def with_factors(folder: Path, factors: str) -> LoadedJob:
    """Return the good job with other factors."""
    return loaded_job(folder, GOOD.replace("iothreads = [1, 2]\niodepth = [1, 64]\n", factors))


def test_a_cell_is_found_by_its_name(loaded: LoadedJob) -> None:
    """The first one where none is named."""
    name = "candidate.iodepth=64.iothreads=2"
    assert cell_from_id(loaded, name).id == name
    assert cell_from_id(loaded, None).id == "baseline.iodepth=1.iothreads=1"


def test_a_cell_that_is_not_there(loaded: LoadedJob) -> None:
    """The remedy lists those that are."""
    with pytest.raises(InputError, match=r"job\.toml has no cell 'candidate'") as caught:
        cell_from_id(loaded, "candidate")
    assert "candidate.iodepth=64.iothreads=2" in caught.value.remedy


def test_every_combination_in_both_arms_is_a_cell(loaded: LoadedJob) -> None:
    """Two by two levels in two arms, and nothing to warn about."""
    cells, warnings = checked_cells(loaded, loaded.job.profile["quick"])
    assert len(cells) == len({cell.id for cell in cells}) == 8
    assert warnings == ()


def refusal(loaded: LoadedJob) -> InputError:
    """Return why a job's cells are refused."""
    with pytest.raises(InputError) as caught:
        checked_cells(loaded, loaded.job.profile["quick"])
    return caught.value


def test_two_cells_of_one_name_are_refused(tmp_path: Path) -> None:
    """The number and the text are one name, and would share a folder."""
    error = refusal(with_factors(tmp_path, 'iodepth = [1, "1"]\n'))
    assert error.message.endswith("two cells are called 'baseline.iodepth=1'")
    assert "job.toml" in error.message


def test_a_name_that_no_folder_can_have_is_refused(tmp_path: Path) -> None:
    """It would be found at the first run otherwise, after the builds."""
    mapping = ",".join(f"iothread{number}:{number}" for number in range(16))
    error = refusal(with_factors(tmp_path, f'iothreads = [16]\nmapping = ["{mapping}"]\n'))
    assert "the name of a cell names a folder, and has 2" in error.message
    assert "below 200" in error.remedy


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        (
            'iothreads = [2]\nmapping = ["iothread9"]\n',
            "iothreads=2.mapping=iothread9: QEMU refuses the mapping of scsi0",
        ),
        ('mapping = ["what?:"]\n', "mapping=what?:: "),
        ('bs = ["4k", "é"]\n', "bs=é: "),
    ],
)
def test_a_level_that_makes_no_machine_names_job_and_point(tmp_path: Path, factors: str, words: str) -> None:
    """The user has to find it in the file."""
    error = refusal(with_factors(tmp_path, factors))
    assert error.message.startswith(f"{tmp_path / 'job.toml'}: {words}"), error.message


@pytest.mark.parametrize(
    ("factors", "fits"),
    [
        ("numjobs = [4]\nnum_queues = [2, 4]\n", True),
        ("numjobs = [1]\nnum_queues = [4]\n", False),
        ("numjobs = [4]\nnum_queues = [1]\n", False),
        ("numjobs = [4]\ncontrollers = [2]\n", False),
    ],
)
def test_fairness_is_judged_only_where_it_is_measured(tmp_path: Path, factors: str, fits: bool) -> None:
    """Hours of runs would end in a report without a number."""
    text = GOOD.replace("iothreads = [1, 2]\niodepth = [1, 64]\n", factors)
    loaded = loaded_job(tmp_path, text.replace('metrics = ["iops"]', 'metrics = ["queue_fairness"]'))
    assert loaded.job.judge.metrics == ("queue_fairness",)
    if fits:
        assert checked_cells(loaded, loaded.job.profile["quick"])
    else:
        assert "there is no queue_fairness to judge" in refusal(loaded).message


def test_what_there_is_to_warn_about_is_said_once_for_both_arms(tmp_path: Path) -> None:
    """Six IOThreads for four queues: two idle in each arm."""
    loaded = with_factors(tmp_path, "iothreads = [1, 6]\n")
    _, warnings = checked_cells(loaded, loaded.job.profile["quick"])
    assert warnings and len(set(warnings)) == len(warnings)
    assert all(warning.startswith("iothreads=6: scsi0: ") for warning in warnings)
