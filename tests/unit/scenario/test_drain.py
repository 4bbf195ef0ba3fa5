"""Block jobs and graph changes, against a QEMU that answers from a table."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from lab.scenario import drain
from lab.scenario.load import AREA_MIB
from lab.scenario.region import REGION_BYTES, Region
from lab.scenario.stage import ScenarioError, Stage
from tests.unit.scenario.staged import end_of_disk, executed, staged

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
    (tmp_path / "overlay2.qcow2").touch()
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


@pytest.mark.parametrize(
    ("below", "live", "said"),
    [
        (b"B", b"A", None),
        (b"A", b"A", "below the overlay was written"),
        (b"B", b"x", "does not hold what the guest wrote after the snapshot"),
    ],
)
def test_what_is_below_an_overlay_stays_as_it_is(tmp_path: Path, below: bytes, live: bytes, said: str | None) -> None:
    """And what the guest writes is there for the guest; the second time the first overlay is what is below."""
    stage = staged(
        tmp_path,
        qmp={**DONE, "blockdev-snapshot-sync": {}},
        shell={"iflag=direct 2>/dev/null": live.decode() * REGION_BYTES},
    )
    image = tmp_path / "overlay0.qcow2"
    image.write_bytes(b"B" * REGION_BYTES)
    fill = Region.fill

    def filled(region: Region, letter: str) -> None:
        fill(region, letter)
        if letter == "A":
            end_of_disk(image, below * REGION_BYTES)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(ScenarioError, match=said) if said else nullcontext():
        patch.setattr(Region, "fill", filled)
        drain.snapshot(stage, 1)


@pytest.mark.parametrize(
    ("old", "copied", "live", "said"),
    [
        (b"\xca", b"B", b"A", None),
        (b"x", b"B", b"A", "does not hold the data that was on the disk before"),
        (b"\xca", b"A", b"A", "does not hold what the guest overwrote while it was made"),
        (b"\xca", bytes(1), b"A", "does not hold what the guest overwrote while it was made"),
        (b"\xca", b"B", b"B", "does not hold what the guest wrote while it was backed up"),
    ],
)
def test_a_backup_is_of_one_moment(tmp_path: Path, old: bytes, copied: bytes, live: bytes, said: str | None) -> None:
    """It holds what was there before, also where the guest writes meanwhile; and the disk holds what it wrote."""
    stage = staged(
        tmp_path,
        qmp={**DONE, "blockdev-backup": {}, "block-job-set-speed": {}},
        events={"BLOCK_JOB_COMPLETED": [{"device": "backup-job0"}]},
    )
    area = b"\xca" * (AREA_MIB * MIB)
    stage.site.disk_file.write_bytes(area + bytes(REGION_BYTES))
    wait = stage.end_block_job

    def end(job: str, *, pivot: bool = False) -> None:
        (tmp_path / "backup0.raw").write_bytes(area[:-1] + old + copied * REGION_BYTES)
        assert stage.site.disk_file.read_bytes().endswith(b"A" * REGION_BYTES)
        end_of_disk(stage.site.disk_file, live * REGION_BYTES)
        wait(job, pivot=pivot)

    stage.end_block_job = end  # type: ignore[method-assign]
    with pytest.raises(ScenarioError, match=said) if said else nullcontext():
        drain.backup(stage, 0)
    assert executed(stage)[:4] == ["query-block", "blockdev-add", "query-block", "blockdev-backup"]
    assert [mark.name for mark in stage.marks] == ["blockdev-backup"]


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


@pytest.mark.parametrize(("done", "said"), [(260, None), (9000, "9000 requests completed in 1.3 s")])
def test_a_throttle_has_an_effect_and_is_taken_off(tmp_path: Path, done: int, said: str | None) -> None:
    """Both moments are marked; requests that were merged reach the image as one."""
    stats = {"rd_operations": 0, "rd_merged": 7, "wr_operations": 100, "wr_merged": 3}
    devices = [{"node-name": "now"}, {"qdev": "disk0-dev", "stats": stats}]
    stage = staged(tmp_path, qmp={**DONE, "block_set_io_throttle": {}, "query-blockstats": devices})
    disturb = stage.disturb

    def load(name: str) -> None:
        disturb(name)
        if name == "throttle off":
            stats.update(rd_operations=done + 50, rd_merged=57)

    stage.disturb = load  # type: ignore[method-assign]
    with pytest.raises(ScenarioError, match=said) if said else nullcontext():
        drain.throttle(stage, 0)
    assert [mark.name for mark in stage.marks] == ["throttle on", "throttle off"]
    assert executed(stage).count("block_set_io_throttle") == 2


def test_a_disk_whose_requests_qemu_does_not_count_is_told(tmp_path: Path) -> None:
    """A limit whose effect nobody sees is not taken for one."""
    with pytest.raises(ScenarioError, match="query-blockstats does not know disk0-dev"):
        drain.throttle(staged(tmp_path, qmp={**DONE, "block_set_io_throttle": {}, "query-blockstats": []}), 0)


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
