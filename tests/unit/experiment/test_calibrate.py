"""The campaigns of a calibration, with experiments that nobody runs."""

from pathlib import Path

import pytest

from lab.build.arms import Arms
from lab.errors import HostError, InputError
from lab.experiment import calibrate as module
from lab.experiment.arms import ArmsRequest, source_from_request
from lab.experiment.calibrate import CalibrationRequest, CampaignFolder, run_campaigns
from lab.experiment.conduct import Conducted, Request
from lab.testing import RecordingProgress
from tests.unit.experiment.made_up import BASELINE, CANDIDATE, arms, loaded_job
from tests.unit.experiment.test_job import GOOD


class Runs:
    """What was asked of ``conduct`` and of the builds."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.builds: list[str] = []
        self.waited: list[object] = []
        self.hints: list[object] = []

    def conduct(self, request: Request, progress: object) -> Conducted:
        """Stand in for an experiment."""
        self.requests.append(request)
        assert request.results is not None
        return Conducted(request.results, (), "")

    def source(self, request: ArmsRequest, series: object, *, progress: object) -> str:
        """Stand in for a tree; a base without one is the real mistake."""
        if request.tree is None and request.base is not None:
            source_from_request(request, None, progress=RecordingProgress())
        self.hints.append(series)
        return f"{request.tree} {request.base}"

    def build_arms(self, source: object, series: object, *, progress: object) -> Arms:
        """Stand in for the builds: without a series both arms are one."""
        self.builds.append(str(series or "same"))
        return arms(candidate=CANDIDATE if series else BASELINE)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Return experiments that are only asked for."""
    found = Runs()

    def build_control(source: object, *, progress: object) -> Arms:
        found.builds.append("control")
        return arms(candidate=CANDIDATE)

    monkeypatch.setattr(module, "conduct", found.conduct)
    monkeypatch.setattr(module, "check_host_is_free", lambda purpose, *, waiting: found.waited.append(waiting))
    monkeypatch.setattr(module, "series_from_request", lambda request: f"the series of {request.series}")
    monkeypatch.setattr(module, "source_from_request", found.source)
    monkeypatch.setattr(module, "build_arms", found.build_arms)
    monkeypatch.setattr(module, "build_control", build_control)
    return found


def job(folder: Path, text: str = GOOD) -> Path:
    """Return a job file."""
    return loaded_job(folder, text).path


def test_one_campaign_of_each_kind(runs: Runs, tmp_path: Path) -> None:
    """Alike arms come first and with twice the blocks; each latency and the rebuild have a folder of their own."""
    request = CalibrationRequest(job(tmp_path), results=tmp_path / "r", latencies_ns=(500, 9000), rebuild=True)
    found = run_campaigns(request, RecordingProgress())
    assert found == (
        CampaignFolder("alike", 0, tmp_path / "r" / "alike"),
        CampaignFolder("latency", 500, tmp_path / "r" / "latency-500ns"),
        CampaignFolder("latency", 9000, tmp_path / "r" / "latency-9000ns"),
        CampaignFolder("rebuild", 0, tmp_path / "r" / "rebuild"),
    )
    assert [asked.blocks for asked in runs.requests] == [12, 6, 6, 6]
    assert [asked.candidate_latency_ns for asked in runs.requests] == [0, 500, 9000, 0]
    assert [asked.control for asked in runs.requests] == ["alike", "latency", "latency", "rebuild"]
    built = [asked.built for asked in runs.requests]
    assert all(one is not None and one.candidate == BASELINE for one in built[:3])
    assert built[3] is not None and built[3].candidate == CANDIDATE


def test_a_patch_of_known_cost_is_a_campaign_of_its_own(runs: Runs, tmp_path: Path) -> None:
    """Its arms are base and series as of an experiment; the base that the series names is that of all campaigns."""
    patch = tmp_path / "slower.patch"
    found = run_campaigns(CalibrationRequest(job(tmp_path), results=tmp_path, series=patch), RecordingProgress())
    assert [one.kind for one in found] == ["alike", "patch"] and found[1].folder == tmp_path / "patch"
    assert runs.builds == ["same", f"the series of {patch}"] and runs.hints == [f"the series of {patch}"]
    alike, slowed = runs.requests
    assert alike.arms.series is None and slowed.arms.series == patch and slowed.control == "patch"
    assert slowed.built is not None and slowed.built.candidate == CANDIDATE


def test_nothing_is_built_twice_unasked(runs: Runs, tmp_path: Path) -> None:
    """Without a rebuild the base is built once; blocks can be chosen, and the folder has a name of its own."""
    run_campaigns(CalibrationRequest(job(tmp_path), blocks=20), RecordingProgress())
    assert runs.builds == ["same"] and [asked.blocks for asked in runs.requests] == [20]
    assert runs.requests[0].results is not None
    assert runs.requests[0].results.parent.name == "calibration-job-quick"


def test_a_backend_that_cannot_be_slowed_down(runs: Runs, tmp_path: Path) -> None:
    """Only a null backend has a latency to set; the error comes before any build."""
    text = GOOD.replace("[factors]", '[machine.backend]\ndriver = "raw"\npath = "disk.img"\n\n[factors]')
    with pytest.raises(InputError, match="only a null backend can be slowed down"):
        run_campaigns(CalibrationRequest(job(tmp_path, text), latencies_ns=(1,)), RecordingProgress())
    assert runs.builds == []


def test_a_base_needs_a_tree(runs: Runs, tmp_path: Path) -> None:
    """A commit of nothing is a mistake; with a tree it is what is built."""
    with pytest.raises(InputError, match="--base v10 needs a tree"):
        run_campaigns(CalibrationRequest(job(tmp_path), base="v10"), RecordingProgress())
    run_campaigns(CalibrationRequest(job(tmp_path), tree=tmp_path, base="v10"), RecordingProgress())
    assert runs.requests[0].arms.tree == tmp_path


def test_whether_the_host_is_free_is_looked_at_first(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the build, which may take minutes; and it is waited for where that is asked."""
    progress = RecordingProgress()
    run_campaigns(CalibrationRequest(job(tmp_path), wait=True), progress)
    run_campaigns(CalibrationRequest(job(tmp_path)), progress)
    assert runs.waited == [progress, None] and [asked.wait for asked in runs.requests] == [True, False]

    def busy(purpose: str, *, waiting: object) -> None:
        raise HostError("cannot calibrate now")

    monkeypatch.setattr(module, "check_host_is_free", busy)
    runs.builds.clear()
    with pytest.raises(HostError):
        run_campaigns(CalibrationRequest(job(tmp_path)), progress)
    assert runs.builds == []
