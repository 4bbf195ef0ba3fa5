from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from lab.__main__ import run
from lab.cli import scope as module
from lab.cli.scope import TMF, asked_jobs, gravest, jobs_for_series, text_from_scope
from lab.errors import ExitCode, InputError, NotComparableError
from lab.experiment.arms import ArmsRequest
from lab.experiment.scope import JobLoads
from lab.scenario.catalogue import SCENARIOS
from lab.series.read import read_series
from lab.series.scope import rules
from lab.series.series import Series
from lab.testing import RecordingProgress
from tests.unit.series.letters import box_file, diff, patch_letter

SCSI = JobLoads(Path("jobs/scsi.toml"), frozenset({"device:virtio-scsi-pci"}), 60)
BLK = JobLoads(Path("jobs/blk.toml"), frozenset({"device:virtio-blk-pci"}), 60)


@pytest.fixture(autouse=True)
def jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two jobs and a file that is none."""
    monkeypatch.setattr(module, "jobs_in", lambda _: ((SCSI, BLK), ("bad.toml is passed over: no",)))


def mailbox(folder: Path, *files: str) -> Path:
    """Write a series of one patch that touches these files."""
    return box_file(folder, patch_letter("[PATCH] x", diff_text="".join(diff(path) for path in files)))


def series_of(folder: Path, *files: str) -> Series:
    """Return a series of one patch that touches these files."""
    return read_series(mailbox(folder, *files))


def test_show_says_what_is_worth_running_and_why(tmp_path: Path) -> None:
    """Jobs and scenarios, what no job loads, and what cannot be measured."""
    text = text_from_scope(series_of(tmp_path, "hw/scsi/virtio-scsi.c", "block/linux-aio.c", "docs/x.rst"))
    lines = [line.strip() for line in text.splitlines()]
    assert "hw/scsi/virtio-scsi.c: the virtio-scsi device: each request goes through it, and so does each task " in text
    assert "measured by jobs/scsi.toml" in lines and "measured by jobs/blk.toml" not in lines
    assert "no job there is loads it: a job needs one of aio:native" in lines
    assert any(line.startswith("docs/x.rst: text") for line in lines)
    worth = lines[lines.index("worth running:") :]
    assert {"lab run jobs/scsi.toml", "lab tmf", "lab race", "lab cost"} <= set(worth)
    (played,) = [line for line in worth if line.startswith("lab scenario ")]
    assert {"hotplug-scsi", "lun-reset", "mirror"} <= set(played.split()) and "tmf" not in played
    assert worth[-1] == "warning: bad.toml is passed over: no"


def test_the_calls_that_are_shown_name_the_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pasted as they are, they are about this series, and not about the demonstration."""
    folder = tmp_path / "my series"
    folder.mkdir()
    path = mailbox(folder, "hw/scsi/virtio-scsi.c")
    assert run(["series", "show", str(path), "--tree", "qemu"]) == ExitCode.DONE
    calls = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  lab ")]
    assert len(calls) == 5 and all(
        shlex.split(call)[-4:] == ["--tree", "qemu", "--series", str(path)] for call in calls
    )
    path = mailbox(tmp_path, "migration/ram.c")
    with pytest.raises(NotComparableError) as caught:
        asked_jobs(None, auto=True, arms=ArmsRequest(series=path), progress=RecordingProgress())
    assert caught.value.remedy.endswith(f"--series {path}") and "lab scenario " in caught.value.remedy


def test_every_scenario_of_the_table_can_be_played() -> None:
    """By the verb that is named."""
    known = SCENARIOS.keys() | {TMF}
    assert {name for rule in rules() for name in rule.scenarios} <= known


def test_scenarios_are_played_on_the_device_that_was_changed(tmp_path: Path) -> None:
    """A virtio-blk series on virtio-blk; the default suits the others."""
    assert (
        text_from_scope(series_of(tmp_path, "hw/block/virtio-blk.c")).splitlines()[-2].endswith("--device virtio-blk")
    )
    assert "--device" not in text_from_scope(series_of(tmp_path, "hw/block/virtio-blk.c", "hw/scsi/scsi-bus.c"))


def test_nothing_is_worth_running_for_a_text(tmp_path: Path) -> None:
    """And that is said."""
    assert "nothing: no machine of the lab runs what it touches" in text_from_scope(series_of(tmp_path, "docs/x.rst"))


def test_a_long_list_of_files_is_cut(tmp_path: Path) -> None:
    """A series over a folder is one line."""
    text = text_from_scope(series_of(tmp_path, *(f"docs/{number}.rst" for number in range(10))))
    assert "docs/7.rst and 2 more: text" in text


def test_the_scope_is_in_the_json_of_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the jobs of each item."""
    assert run(["series", "show", str(mailbox(tmp_path, "hw/block/virtio-blk.c")), "--json"]) == ExitCode.DONE
    (item,) = json.loads(capsys.readouterr().out)["scope"]
    assert item["files"] == ["hw/block/virtio-blk.c"] and item["jobs"] == ["jobs/blk.toml"]
    assert {"loads", "scenarios", "reason"} <= item.keys()


def test_auto_takes_the_jobs_and_says_why(tmp_path: Path) -> None:
    """And what none of them sees."""
    progress = RecordingProgress()
    series = series_of(tmp_path, "hw/scsi/virtio-scsi.c", "block/linux-aio.c")
    assert jobs_for_series(series, progress) == (Path("jobs/scsi.toml"),)
    assert any(
        line.startswith("--auto takes jobs/scsi.toml because of hw/scsi/virtio-scsi.c") for line in progress.lines
    )
    assert any("needs one of aio:native" in line for line in progress.lines)


def test_auto_runs_nothing_for_what_no_job_sees(tmp_path: Path) -> None:
    """Exit code 4: nothing was decided, and no hour was spent on it."""
    for files in (("docs/x.rst",), ("block/mirror.c",)):
        with pytest.raises(NotComparableError, match="so nothing was run") as caught:
            jobs_for_series(series_of(tmp_path, *files), RecordingProgress())
        assert caught.value.remedy


def test_auto_needs_a_series_and_takes_no_job(tmp_path: Path) -> None:
    """Each mistake is said before anything is built."""
    progress, job = RecordingProgress(), Path("j.toml")
    with pytest.raises(InputError, match=r"--auto chooses jobs, and j\.toml is one"):
        asked_jobs(job, auto=True, arms=ArmsRequest(), progress=progress)
    with pytest.raises(InputError, match="no series is named"):
        asked_jobs(None, auto=True, arms=ArmsRequest(), progress=progress)
    with pytest.raises(InputError, match="no job is named"):
        asked_jobs(None, auto=False, arms=ArmsRequest(), progress=progress)
    assert asked_jobs(job, auto=False, arms=ArmsRequest(), progress=progress) == (job,)
    arms = ArmsRequest(series=mailbox(tmp_path, "hw/block/virtio-blk.c"))
    assert asked_jobs(None, auto=True, arms=arms, progress=progress) == (Path("jobs/blk.toml"),)


def test_the_gravest_exit_code_counts() -> None:
    """A finding outweighs a doubt, a doubt success."""
    assert gravest([0, 4, 0]) == ExitCode.UNDECIDED
    assert gravest([4, 1, 0]) == ExitCode.FINDING
    assert gravest([0, 0]) == ExitCode.DONE
