"""Baselines are copies of data under a name: complete or not there, and never overwritten."""

import shutil
from pathlib import Path

import pytest

from lab.analysis.baselines import baseline_names, read_baseline, save_baseline
from lab.analysis.results import read_results
from lab.errors import HostError, InputError
from tests.unit.analysis.campaign import Campaign, write_campaign


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))


def test_a_baseline_outlives_its_folder(tmp_path: Path) -> None:
    """What was saved is read back equal after the results folder is gone, without its evidence."""
    folder = write_campaign(tmp_path / "results", Campaign())
    before = read_results(folder)
    kept = save_baseline("v10.0.0", folder)
    shutil.rmtree(folder)
    assert read_baseline("v10.0.0").records == before.records
    assert baseline_names() == ("v10.0.0",)
    assert not (kept / "runs").exists() and [path.name for path in kept.parent.iterdir()] == ["v10.0.0"]


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    """A second save under a name is refused, and the first stays."""
    folder = write_campaign(tmp_path / "results", Campaign())
    save_baseline("mine", folder)
    with pytest.raises(InputError, match="there is a baseline 'mine' already"):
        save_baseline("mine", folder)


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a/b", "a b", "x" * 61])
def test_a_name_that_is_a_path(tmp_path: Path, name: str) -> None:
    """A name leads nowhere but to its own folder."""
    with pytest.raises(InputError, match="cannot be the name of a baseline"):
        save_baseline(name, tmp_path)


def test_an_unfinished_experiment(tmp_path: Path) -> None:
    """An experiment with runs still to be made is no baseline."""
    campaign = Campaign()
    folder = write_campaign(tmp_path / "results", campaign, records=campaign.records()[:-1])
    with pytest.raises(InputError, match="is not finished: 1 of 36 runs"):
        save_baseline("mine", folder)
    assert baseline_names() == ()


def test_an_unknown_baseline(tmp_path: Path) -> None:
    """The error lists the baselines there are."""
    save_baseline("one", write_campaign(tmp_path / "results", Campaign()))
    with pytest.raises(InputError) as caught:
        read_baseline("two")
    assert caught.value.remedy == "baselines are: one"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A disk that refuses is the host's fault, and nothing half-made is left under the name."""
    folder = write_campaign(tmp_path / "results", Campaign())
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(HostError, match="'mine' cannot be written"):
        save_baseline("mine", folder)
