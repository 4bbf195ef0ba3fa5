"""Scenarios under a real guest whose every byte is verified."""

import os
import re
import signal
from pathlib import Path

import pytest

from lab.build.build import Build
from lab.deadline import Deadline
from lab.host.accelerator_choice import AcceleratorChoice
from lab.image.guest_image import GuestImage
from lab.machine.mapping import Device
from lab.scenario.catalogue import SCENARIOS, Scenario
from lab.scenario.load import AREA_MIB
from lab.scenario.perform import Ground, ScenarioResult, perform
from lab.scenario.stage import Stage
from lab.settings import cache_dir
from lab.virtio.verdict import Verdict
from tests.real.test_run import lab, qemus_of

MIB = 1 << 20


@pytest.fixture
def ground(qemu_binary: Build, guest_image: GuestImage, accelerator: AcceleratorChoice) -> Ground:
    """The baseline with a virtio-scsi disk."""
    return Ground(qemu_binary.qemu, qemu_binary.firmware, guest_image, accelerator.accelerator, Device.VIRTIO_SCSI)


def corrupt(offset_bytes: int) -> Scenario:
    """Return a scenario that overwrites a MiB of the disk behind QEMU's back."""

    def perform_it(stage: Stage, number: int) -> None:
        stage.disturb("corrupt")
        with stage.site.disk_file.open("r+b") as disk:
            disk.seek(offset_bytes)
            disk.write(b"x" * MIB)

    return Scenario("corrupt", perform_it)


def told(result: ScenarioResult) -> tuple[Verdict, str]:
    """What a failing test shows."""
    return result.verdict, result.reason


def test_a_guest_is_migrated_under_load_to_other_iothreads(ground: Ground, tmp_path: Path) -> None:
    """Every byte is right afterwards, and the disturbance is seen in the trace."""
    result = perform(SCENARIOS["migrate"], ground, times=1, evidence=tmp_path)
    assert told(result) == (Verdict.PASSED, "")
    assert [gap.name for gap in result.gaps] == ["migrate", "switch-over"] and result.completed > 100
    assert not (tmp_path / "scratch").exists()


def test_data_that_is_damaged_behind_qemus_back_is_seen(ground: Ground, tmp_path: Path) -> None:
    """Old data: without this, a scenario that loses what was there before would pass."""
    result = perform(corrupt(2 * MIB), ground, times=1, evidence=tmp_path)
    assert result.verdict is Verdict.FAILED and "was there before is damaged" in result.reason


def test_new_data_that_is_damaged_is_seen(ground: Ground, tmp_path: Path) -> None:
    """What fio writes and reads back all the time."""
    result = perform(corrupt(AREA_MIB * MIB), ground, times=20, evidence=tmp_path)
    assert result.verdict is Verdict.FAILED
    assert "bad magic header" in result.reason or "fio lost or misread data" in result.reason


def test_an_iothread_in_use_is_kept_or_what_comes_of_it_is_shown(ground: Ground, tmp_path: Path) -> None:
    """QEMU 10.0 lets it go, and then aborts (docs/findings/0003-...); one that refuses passes."""
    result = perform(SCENARIOS["iothread-in-use"], ground, times=1, evidence=tmp_path)
    aborted = "QEMU deleted iothread0" in result.reason and "object_finalize: assertion failed" in result.reason
    assert result.verdict is Verdict.PASSED or aborted, result.reason


def test_a_lab_that_is_terminated_between_two_qemus_leaves_its_evidence_only(
    qemu_binary: Build, accelerator: AcceleratorChoice, tmp_path: Path
) -> None:
    """In the middle of a migration: neither of the two runs on, and the image is gone."""
    named = ("--qemu", str(qemu_binary.qemu), "--accelerator", accelerator.accelerator, "--evidence", str(tmp_path))
    process = lab("scenario", "migrate", *named, "--times", "100")
    try:
        Deadline(180).wait_for("the destination", lambda: len(qemus_of(tmp_path)) == 2 or None)
        (image,) = {word for qemu in qemus_of(tmp_path) for word in _images_in(qemu)}
        assert image.exists()
        process.send_signal(signal.SIGTERM)  # not SIGINT, which whoever runs the tests in the background ignores
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130 and not qemus_of(tmp_path) and not image.parent.exists()
    assert {"console.log", "qmp.log", "load.fio"} <= {path.name for path in tmp_path.glob("baseline/migrate/*")}


def _images_in(command_line: str) -> set[Path]:
    """Return the images that a QEMU was given."""
    paths = re.findall(r'"filename":\s*"([^"]+)"', command_line)
    return {Path(path) for path in paths if path.startswith(f"{cache_dir('scratch')}{os.sep}")}
