"""Block jobs and graph changes, against a QEMU that answers from a table."""

from pathlib import Path

import pytest

from lab.scenario import drain
from lab.scenario.load import AREA_MIB
from lab.scenario.stage import ScenarioError, Stage
from tests.unit.scenario.staged import executed, staged

MIB = 1 << 20
QUERY = [
    {"qdev": "/machine/peripheral/other", "inserted": {"node-name": "other"}},
    {"qdev": "disk0-dev", "inserted": {"node-name": "now", "image": {"virtual-size": 64 * MIB}}},
]
DONE = {"query-block": QUERY, "blockdev-add": {}, "blockdev-del": {}, "job-complete": {}, "block_resize": {}}


def arguments_of(stage: Stage, command: str) -> object:
    """Return what a command was called with."""
    return next(arguments for name, arguments in stage.guest.monitor.executed if name == command)  # type: ignore[attr-defined]


def test_a_snapshot_is_put_on_the_node_the_device_uses_now(tmp_path: Path) -> None:
    """The second one sits on the first."""
    stage = staged(tmp_path, qmp={**DONE, "blockdev-snapshot-sync": {}})
    drain.snapshot(stage, 3)
    arguments = arguments_of(stage, "blockdev-snapshot-sync")
    assert arguments["node-name"] == "now" and arguments["snapshot-node-name"] == "overlay3"  # type: ignore[index]


def test_a_mirror_pivots_when_it_is_ready(tmp_path: Path) -> None:
    """To a raw file as large as the disk."""
    events: dict[str, list[dict[str, object]]] = {
        "BLOCK_JOB_READY": [{"device": "mirror-job0"}],
        "BLOCK_JOB_COMPLETED": [{"device": "mirror-job0"}],
    }
    stage = staged(tmp_path, qmp={**DONE, "blockdev-mirror": {}}, events=events)
    drain.mirror(stage, 0)
    assert executed(stage) == ["query-block", "blockdev-add", "query-block", "blockdev-mirror", "job-complete"]
    assert (tmp_path / "mirror0.raw").stat().st_size == 64 * MIB


@pytest.mark.parametrize("same", [True, False])
def test_a_backup_must_hold_what_was_there_before(tmp_path: Path, same: bool) -> None:
    """The old area is compared byte by byte; what is written meanwhile may differ."""
    stage = staged(
        tmp_path,
        qmp={**DONE, "blockdev-backup": {}},
        events={"BLOCK_JOB_COMPLETED": [{"device": "backup-job0"}]},
    )
    old = b"\xca" * (AREA_MIB * MIB)
    stage.site.disk_file.write_bytes(old + b"newer")
    wait = stage.end_block_job

    def copied(job: str, *, pivot: bool = False) -> None:
        (tmp_path / "backup0.raw").write_bytes(old[:-1] + (b"\xca" if same else b"x") + b"older")
        wait(job, pivot=pivot)

    stage.end_block_job = copied  # type: ignore[method-assign]
    if same:
        drain.backup(stage, 0)
    else:
        with pytest.raises(ScenarioError, match="does not hold the data"):
            drain.backup(stage, 0)


def test_a_device_that_query_block_does_not_know_is_told(tmp_path: Path) -> None:
    """A series may change what QMP says."""
    with pytest.raises(ScenarioError, match="does not know disk0-dev"):
        drain.snapshot(staged(tmp_path, qmp={"query-block": []}), 0)
    with pytest.raises(ScenarioError, match="names no node of disk0-dev"):
        drain.snapshot(staged(tmp_path, qmp={"query-block": [{"qdev": "disk0-dev"}]}), 0)


def test_a_resize_is_seen_by_the_guest(tmp_path: Path) -> None:
    """From whatever size it has, so that it can be repeated."""
    stage = staged(tmp_path, qmp=DONE, shell={"cat /sys/block/sda/size": f"{80 * MIB // 512}\n"})
    drain.resize(stage, 2)
    assert arguments_of(stage, "block_resize") == {"node-name": "now", "size": 80 * MIB}


def test_a_throttle_is_put_on_and_taken_off(tmp_path: Path) -> None:
    """Both moments are marked."""
    stage = staged(tmp_path, qmp={**DONE, "block_set_io_throttle": {}})
    drain.throttle(stage, 0)
    assert [mark.name for mark in stage.marks] == ["throttle on", "throttle off"]


def test_jobs_over_an_overlay_end(tmp_path: Path) -> None:
    """A stream by itself, a commit when it is told to."""
    events: dict[str, list[dict[str, object]]] = {
        "BLOCK_JOB_READY": [{"device": "commit1"}],
        "BLOCK_JOB_COMPLETED": [{"device": "stream0"}, {"device": "commit1"}],
    }
    qmp = {**DONE, "blockdev-snapshot-sync": {}, "block-stream": {}, "block-commit": {}}
    stage = staged(tmp_path, qmp=qmp, events=events)
    drain.stream(stage, 0)
    drain.commit(stage, 1)
    assert executed(stage).count("blockdev-snapshot-sync") == 2 and "job-complete" in executed(stage)


def test_a_disk_whose_size_qemu_does_not_tell_is_a_finding(tmp_path: Path) -> None:
    """A target of another size would fail the job, for a reason of the lab's making."""
    with pytest.raises(ScenarioError, match="no size of disk0-dev"):
        drain.resize(staged(tmp_path, qmp={**DONE, "query-block": [{"qdev": "disk0-dev"}]}), 0)
