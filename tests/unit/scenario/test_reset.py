"""Resets, pauses and ends, against a QEMU that answers from a table."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from lab.errors import DeadlineError, GuestError, MonitorError, StageError
from lab.scenario.load import AREA_MIB
from lab.scenario.region import REGION_BYTES
from lab.scenario.reset import power_off, quit_under_load, reset_lun, reset_system, stop_and_continue
from lab.scenario.stage import ScenarioError, Stage
from tests.unit.scenario.staged import end_of_disk, executed, staged


def test_a_logical_unit_reset_that_fails_is_a_finding(tmp_path: Path) -> None:
    """With sg_reset's own words; one that works is not."""
    reset_lun(staged(tmp_path, shell={"sg_reset": ""}), 0)
    with pytest.raises(ScenarioError, match="Operation not permitted"):
        reset_lun(staged(tmp_path, shell={"sg_reset": (1, "", "sg_reset: Operation not permitted")}), 0)


def test_stopped_cpus_go_on(tmp_path: Path) -> None:
    """After a second of the stage's clock."""
    stage = staged(tmp_path, qmp={"stop": {}, "cont": {}})
    stop_and_continue(stage, 0)
    assert executed(stage) == ["stop", "cont"] and stage.paused_s == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("end", [quit_under_load, power_off])
@pytest.mark.parametrize(
    ("exited", "error", "said"),
    [
        (None, DeadlineError, "did not end"),
        (-6, ScenarioError, "status -6"),
        (1, ScenarioError, "status 1"),
    ],
)
def test_qemu_must_end_in_good_order(
    tmp_path: Path, end: Callable[[Stage, int], None], exited: int | None, error: type[StageError], said: str
) -> None:
    """With requests in flight; the connection may be closed before the answer is out. Late is not never."""
    gone = GuestError("the connection was lost")
    stage = staged(tmp_path, qmp={"quit": MonitorError("the QMP connection failed")}, shell={"poweroff": gone})
    stage.settle = lambda seconds=0.0: None  # type: ignore[method-assign]
    stage.guest.process.exited = exited  # type: ignore[attr-defined]
    with pytest.raises(error, match=said):
        end(stage, 0)
    assert stage.guest_ended


def test_a_qemu_that_quits_with_zero_has_passed(tmp_path: Path) -> None:
    """Nobody asks the guest any more."""
    stage = staged(tmp_path, qmp={"quit": {}})
    stage.settle = lambda seconds=0.0: None  # type: ignore[method-assign]
    stage.guest.process.exited = 0  # type: ignore[attr-defined]
    quit_under_load(stage, 0)
    assert stage.guest_ended


@pytest.mark.parametrize(("offset_mib", "damaged"), [(AREA_MIB - 1, True), (AREA_MIB, False)])
def test_old_data_must_outlive_the_end(tmp_path: Path, offset_mib: int, damaged: bool) -> None:
    """There is no guest any more that could verify it; new data is written to the last moment."""
    stage = staged(tmp_path)
    os.truncate(stage.site.disk_file, (AREA_MIB + 1) << 20)
    stage.settle = lambda seconds=0.0: None  # type: ignore[method-assign]
    stage.guest.process.exited = 0  # type: ignore[attr-defined]

    def quits(*_words: object, **_more: object) -> None:
        with stage.site.disk_file.open("r+b") as disk:
            disk.seek(offset_mib << 20)
            disk.write(b"x")

    stage.guest.monitor.execute = quits  # type: ignore[method-assign]
    with pytest.raises(ScenarioError, match="damaged after quit") if damaged else nullcontext():
        quit_under_load(stage, 0)


def test_what_was_acknowledged_must_outlive_the_end(tmp_path: Path) -> None:
    """A write that the guest was told is done, and a flush after it."""
    stage = staged(tmp_path)
    stage.settle = lambda seconds=0.0: None  # type: ignore[method-assign]
    stage.guest.process.exited = 0  # type: ignore[attr-defined]
    stage.guest.monitor.execute = lambda *_words, **_more: end_of_disk(  # type: ignore[method-assign]
        stage.site.disk_file, bytes(REGION_BYTES)
    )
    with pytest.raises(ScenarioError, match=r"what the guest wrote, .* before quit is not on the disk after it"):
        quit_under_load(stage, 0)


@pytest.mark.parametrize("lost", [False, True])
def test_what_was_acknowledged_must_outlive_a_reset(
    tmp_path: Path, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the guest reads it that has booted again; it is loaded again only then."""
    stage = staged(tmp_path, qmp={"set-action": {}})
    loaded: list[str] = []
    monkeypatch.setattr(stage, "settle", lambda: None)
    monkeypatch.setattr(stage.load, "verify_old", lambda: None)
    monkeypatch.setattr(stage.load, "start", lambda: loaded.append("start"))
    content = bytes(REGION_BYTES) if lost else b"A" * REGION_BYTES
    monkeypatch.setattr(stage, "reset_guest", lambda _command: end_of_disk(stage.site.disk_file, content))
    with pytest.raises(ScenarioError, match="before the reset is not on the disk") if lost else nullcontext():
        reset_system(stage, 0)
    assert loaded == ([] if lost else ["start"])
