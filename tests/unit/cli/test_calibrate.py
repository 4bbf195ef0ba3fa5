"""``lab calibrate`` and what it leaves for ``lab plan --resolve`` and ``lab compare``, over made-up campaigns."""

import json
from pathlib import Path

import pytest

from lab.cli import calibrate as module
from lab.cli import resolve
from lab.cli.calibrate import calibrate
from lab.cli.compare import compare
from lab.cli.resolve import resolution
from lab.errors import HostError, InputError
from lab.experiment.calibrate import CalibrationRequest, CampaignFolder
from lab.experiment.job import load_job
from lab.experiment.schedule import cells_from_points, points_from_factors
from lab.settings import project_dir
from tests.unit.analysis.campaign import EXPERIMENT, HOST, Campaign, write_campaign

JOB = project_dir() / "jobs" / "virtio-scsi-iothreads.toml"


@pytest.fixture
def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[CalibrationRequest]:
    """Let nobody run campaigns: they are there already. Returns what was asked."""
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))
    asked: list[CalibrationRequest] = []

    def run_campaigns(request: CalibrationRequest, progress: object) -> tuple[CampaignFolder, ...]:
        asked.append(request)
        alike = write_campaign(tmp_path / "alike", Campaign(blocks=12))
        slowed = write_campaign(tmp_path / "latency", Campaign(seed=2, effect=lambda point: 0.7))
        return CampaignFolder("alike", 0, alike), CampaignFolder("latency", 100_000, slowed)

    monkeypatch.setattr(module, "run_campaigns", run_campaigns)
    monkeypatch.setattr(resolve, "fingerprint", lambda facts: HOST["fingerprint"])
    return asked


def run(command: object, *arguments: str | Path) -> object:
    """Call a verb as lab/__main__.py does."""
    return command.main(args=[str(word) for word in arguments], prog_name="lab", standalone_mode=False)  # type: ignore[attr-defined]


def resolved(wanted: str) -> tuple[dict[str, object], str]:
    """Return what 'lab plan --resolve' says of the main job."""
    loaded = load_job(JOB)
    return resolution(loaded, "quick", cells_from_points(points_from_factors(loaded.job.factors)), wanted, run_s=10.0)


def test_what_is_measured_is_kept_and_shown(
    requests: list[CalibrationRequest], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before, a host is uncalibrated; after, its comparisons say how often it raises a false alarm."""
    results = write_campaign(tmp_path / "results", Campaign(seed=9))
    run(compare, results, "--json")
    assert json.loads(capsys.readouterr().out)["calibration"] is None
    run(calibrate, JOB, "--export", tmp_path / "export.json", "--quiet")
    out = capsys.readouterr().out
    assert "+100000 ns" in out and "REGRESSED" in out and "0 of 2 real A/A experiments" in out
    assert json.loads((tmp_path / "export.json").read_text())["format"] == 1
    run(compare, results, "--json")
    value = json.loads(capsys.readouterr().out)
    assert value["calibrated"] is True and value["calibration"]["blocks"] == 6
    assert requests[0].latencies_ns == (100_000,) and not requests[0].rebuild


def test_a_plan_for_a_resolution(requests: list[CalibrationRequest], capsys: pytest.CaptureFixture[str]) -> None:
    """Without a calibration a plan says so; with one it says how many blocks and minutes, more for less."""
    data, text = resolved("2%")
    assert data["calibrated"] is False and data["blocks"] is None and "not calibrated" in text
    run(calibrate, JOB, "--no-latency", "--quiet", "--json")
    assert json.loads(capsys.readouterr().out)["noise"][0]["pairs"] == 12
    assert requests[0].latencies_ns == ()
    coarse, fine = resolved("10%"), resolved("1%")
    assert isinstance(coarse[0]["blocks"], int) and isinstance(fine[0]["blocks"], int)
    assert 6 <= coarse[0]["blocks"] < fine[0]["blocks"]
    assert fine[0]["expected_seconds"] == fine[0]["blocks"] * 6 * 10
    assert f"resolve 1 % with tcg: {fine[0]['blocks']} blocks" in fine[1]


def test_a_point_that_was_never_calibrated(
    requests: list[CalibrationRequest], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A point that the calibration lacks is a warning of the plan."""
    run(calibrate, JOB, "--quiet")
    loaded = load_job(JOB)
    points = points_from_factors({"iothreads": (1, 8)})
    _, text = resolution(loaded, "quick", cells_from_points(points), "5%", run_s=1.0)
    assert "warning: the calibration knows nothing of iothreads=8, iops" in text


def test_a_plan_from_a_calibration_of_another_job(requests: list[CalibrationRequest]) -> None:
    """A job that was changed since, under the same name, is planned with a warning that names what was changed."""
    run(calibrate, JOB, "--quiet")
    data, text = resolved("5%")
    assert "factors.iothreads" not in str(data["changed"]) and "profile.runtime_s" in str(data["changed"])
    assert "warning: the job was changed since: " in text


@pytest.mark.parametrize(("words", "latencies_ns"), [((), ()), (("--latency-ns", "7"), (7,))])
def test_a_patch_takes_the_place_of_the_latency(
    requests: list[CalibrationRequest], tmp_path: Path, words: tuple[str, ...], latencies_ns: tuple[int, ...]
) -> None:
    """Unless both are asked for."""
    run(calibrate, JOB, "--series", tmp_path / "slower.patch", *words, "--quiet")
    assert (requests[0].series, requests[0].latencies_ns) == (tmp_path / "slower.patch", latencies_ns)


def test_contradictions(requests: list[CalibrationRequest]) -> None:
    """A latency and none at all cannot both be asked for; too few blocks cannot be asked for."""
    with pytest.raises(InputError, match="contradict each other"):
        run(calibrate, JOB, "--latency-ns", "5", "--no-latency")
    assert requests == []


def test_a_file_that_cannot_be_written(requests: list[CalibrationRequest], tmp_path: Path) -> None:
    """Where it is to be exported to must be a place that can be written; this is told before any campaign."""
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot be written"):
        run(calibrate, JOB, "--export", tmp_path / "file" / "x.json", "--quiet")
    with pytest.raises(InputError, match=r"does not end in \.json"):
        run(calibrate, JOB, "--export", "/dev/null", "--quiet")
    assert requests == []


def test_campaigns_of_nobody(requests: list[CalibrationRequest], tmp_path: Path) -> None:
    """Campaigns that do not say for which job they were made calibrate nothing."""
    nameless = EXPERIMENT.replace('job = "virtio-scsi-iothreads"', 'job = ""')
    folder = write_campaign(tmp_path / "alike", Campaign(blocks=12), experiment=nameless)
    with pytest.raises(InputError, match="does not say on which host"):
        module.calibration_from_folders((CampaignFolder("alike", 0, folder),), blocks=6)
