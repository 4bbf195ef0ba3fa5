"""A cell with everything that boots it, of builds that nobody made."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.build.arms import Arms
from lab.errors import InputError
from lab.experiment import one_cell as module
from lab.experiment.arms import ArmsRequest
from lab.experiment.one_cell import one_cell
from lab.host.accelerator_choice import AcceleratorChoice
from lab.progress import Progress
from lab.testing import RecordingProgress
from tests.unit.experiment.made_up import BASELINE, CANDIDATE, IMAGE, TCG_ONLY, arms, loaded_job

SERIES = ArmsRequest(series=Path("my.mbox"))


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Make nothing, and keep what the accelerator was probed with."""
    probed: list[object] = []
    monkeypatch.setattr(module, "arms_from_request", lambda request, *, progress: arms())
    monkeypatch.setattr(module, "build_image", lambda recipe, *, progress: IMAGE)

    def probe(*words: object, progress: object) -> AcceleratorChoice:
        probed.append(words)
        return TCG_ONLY

    monkeypatch.setattr(module, "probe_accelerator", probe)
    return probed


def test_a_cell_has_the_build_of_its_arm(tmp_path: Path, probes: list[object]) -> None:
    """The first cell is the baseline's; a name chooses another, with its machine."""
    path = loaded_job(tmp_path).path
    first = one_cell(path, None, SERIES, accelerator=None, progress=RecordingProgress())
    assert first.build is BASELINE and first.image is IMAGE and first.spec.accelerator == "tcg" and len(probes) == 1
    name = "candidate.iodepth=64.iothreads=2"
    other = one_cell(path, name, SERIES, accelerator="kvm", progress=RecordingProgress())
    assert other.build is CANDIDATE and other.cell.id == name and len(other.spec.iothreads) == 2
    assert other.spec.accelerator == "kvm" and len(probes) == 1


def test_mistakes_are_found_before_anything_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that is not there, and no series for a cell of the candidate."""
    path = loaded_job(tmp_path).path
    monkeypatch.setattr(module, "arms_from_request", lambda request, *, progress: pytest.fail("something was built"))
    for cell, request in (("candidate.iothreads=3", SERIES), ("candidate.iodepth=64.iothreads=2", ArmsRequest())):
        with pytest.raises(InputError):
            one_cell(path, cell, request, accelerator=None, progress=RecordingProgress())


def test_a_cell_of_the_baseline_needs_no_series(
    tmp_path: Path, probes: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a job without a demonstration, too; the base alone is built, of the tree that is named."""
    built: list[ArmsRequest] = []
    monkeypatch.setattr(module, "arms_from_request", lambda request, *, progress: pytest.fail("a candidate was built"))

    def build(request: ArmsRequest, *, progress: Progress) -> Arms:
        built.append(request)
        return arms()

    monkeypatch.setattr(module, "base_from_request", build)
    request = ArmsRequest(tree=tmp_path)
    cell = one_cell(loaded_job(tmp_path).path, None, request, accelerator="tcg", progress=RecordingProgress())
    assert cell.build is BASELINE and built == [request] and not probes
