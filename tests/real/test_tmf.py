"""The virtio-scsi driver, the disk that holds requests, and the matrix of task management functions, on a real QEMU."""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.build.build import Build
from lab.errors import BootError, DeadlineError, StageError
from lab.progress import SilentProgress
from lab.virtio import scsi
from lab.virtio.hold_server import block_pattern
from lab.virtio.nbd import NbdCommand
from lab.virtio.qtest_machine import Accelerator, LogicalUnit, QtestMachine, QtestSpec, start_machine
from lab.virtio.scsi import ScsiStatus, read_10, write_10
from lab.virtio.tmf import matrix
from lab.virtio.tmf.case import LunState, TagState, TmfCase, matrix_cases
from lab.virtio.tmf.controller import controller_mapping, mappings_of
from lab.virtio.tmf.judge import answer_of
from lab.virtio.tmf.matrix import Backtraces, TmfResult, run_case, run_matrix
from lab.virtio.tmf.perform import Performance
from lab.virtio.tmf.watchdog import NEW_CONNECTION, nudged
from lab.virtio.verdict import Verdict
from lab.virtio.virtio_scsi import (
    AsyncNotification,
    ControlType,
    Event,
    EventKind,
    Lun,
    ResetReason,
    Response,
    Tmf,
    command_response,
)

DISK = LogicalUnit("disk", Lun(0, 0))
OTHER = LogicalUnit("other", Lun(1, 2))

ABORT = TmfCase(Tmf.ABORT_TASK, TagState.IN_FLIGHT, LunState.PRESENT, 0, "none")

HELD_BACK = "docs/findings/0002-abort-of-a-command-that-is-being-aborted.md"
"""What QEMU 10.0 is known to do wrong, so that its matrix does not pass as a whole."""


def spec_of(qemu: Path, mapping: str = "2") -> QtestSpec:
    """Return a controller with two disks on different targets."""
    controller = controller_mapping(mapping, 4)
    return QtestSpec(qemu, (DISK, OTHER), iothreads=controller.iothreads, controller=controller.properties)


def make_ready(machine: QtestMachine) -> None:
    """Bring the driver up and take the unit attentions that a reset leaves."""
    machine.driver.start()
    for unit in machine.spec.units:
        while str(machine.driver.run(0, unit.lun, scsi.test_unit_ready(), tag=1)) != "OK":
            pass


@pytest.fixture
def machine(qemu_binary: Build, tmp_path: Path) -> Iterator[QtestMachine]:
    """Start a QEMU with two IOThreads, its driver up and its disks ready."""
    with start_machine(spec_of(qemu_binary.qemu), tmp_path) as started:
        make_ready(started)
        yield started


def test_data_comes_back_as_it_was_written(machine: QtestMachine) -> None:
    """Through any queue, and the two disks are apart."""
    driver = machine.driver
    assert driver.num_queues == 4
    assert str(driver.run(1, DISK.lun, write_10(9, b"w" * 512), tag=2)) == "OK"
    read = driver.answer_to(driver.submit(3, DISK.lun, read_10(8, 2), tag=3))
    assert read.data == block_pattern(8) + b"w" * 512
    other = driver.answer_to(driver.submit(0, OTHER.lun, read_10(9), tag=4))
    assert other.data == block_pattern(9)
    assert str(driver.run(2, DISK.lun, scsi.synchronize_cache_10(), tag=5)) == "OK"


def test_who_is_there(machine: QtestMachine) -> None:
    """INQUIRY is answered; NormACA is 0, which the oracle relies on; an absent target is BAD_TARGET."""
    driver = machine.driver
    inquiry = driver.answer_to(driver.submit(0, DISK.lun, scsi.inquiry(), tag=1)).data
    assert inquiry[8:12] == b"QEMU" and not inquiry[3] & 0x20
    assert str(driver.run(0, Lun(9, 0), scsi.test_unit_ready(), tag=3)) == "BAD_TARGET"


def test_asynchronous_notifications_can_be_asked_for(machine: QtestMachine) -> None:
    """QEMU answers, and supports none of them."""
    supported, response = machine.driver.query_notifications(
        ControlType.AN_QUERY, DISK.lun, AsyncNotification.MEDIA_CHANGE
    )
    assert (supported, response) == (AsyncNotification(0), Response.OK)


def test_any_number_of_kicks_can_be_posted(machine: QtestMachine) -> None:
    """QEMU goes on serving: its answers to posted writes do not fill the socket."""
    for _ in range(300):
        machine.driver.kick_all()
    machine.driver.submit(0, DISK.lun, read_10(1), tag=2)
    machine.driver.wait_for("the command", lambda: machine.driver.poll() or None, 5.0)


def test_unplugging_and_plugging_is_reported(machine: QtestMachine) -> None:
    """By an event each, with the LUN and the reason."""
    seen: list[Event] = []

    def one_more() -> bool | None:
        seen.extend(machine.driver.take_events())
        return True if seen else None

    machine.monitor.execute("device_del", {"id": OTHER.device_id})
    machine.driver.wait_for("the event", one_more, 5.0)
    machine.monitor.wait_event("DEVICE_DELETED", timeout_s=5.0)
    assert seen == [Event(EventKind.TRANSPORT_RESET, OTHER.lun, ResetReason.REMOVED, missed=False)]
    seen.clear()
    machine.monitor.execute("device_add", OTHER.device_json())
    machine.driver.wait_for("the event", one_more, 5.0)
    assert seen == [Event(EventKind.TRANSPORT_RESET, OTHER.lun, ResetReason.RESCAN, missed=False)]


def hold(machine: QtestMachine, count: int) -> None:
    """Send READs of blocks 10, 20 and so on, one for each queue in turn, and wait until the disk holds them."""
    machine.disk.hold()
    for number in range(count):
        machine.driver.submit(number % 4, DISK.lun, read_10(10 * (number + 1)), tag=100 + number)
    machine.driver.wait_for("the disk", lambda: len(machine.disk.held()) == count or None, 5.0)


@pytest.mark.parametrize("mapping", ["none", "4"])
def test_the_disk_releases_in_any_order(qemu_binary: Build, tmp_path: Path, mapping: str) -> None:
    """What is released ends at once, whatever else is held (docs/findings/0001-...): each request, in any order."""
    with start_machine(spec_of(qemu_binary.qemu, mapping), tmp_path) as machine:
        make_ready(machine)
        hold(machine, 4)
        for number in (3, 0, 2, 1):
            (request,) = (held for held in machine.disk.held() if held.lba == 10 * (number + 1))
            machine.disk.release(request)
            (completion,) = machine.driver.wait_for("the command", lambda: machine.driver.poll() or None, 2.0)
            assert completion.request is not None and completion.request.tag == 100 + number
            assert completion.data == block_pattern(10 * (number + 1))
        assert machine.disk.held() == ()
        with pytest.raises(StageError, match="is not held"):
            machine.disk.release(request)


def test_the_disk_fails_what_it_is_told_to(machine: QtestMachine) -> None:
    """One READ fails, the other does not; the log has both, and what arrives later passes."""
    hold(machine, 2)
    first, second = sorted(machine.disk.held(), key=lambda request: request.lba)
    machine.disk.release(first, error=errno.EIO)
    machine.disk.release_all()
    driver = machine.driver
    found: list[tuple[int, int]] = []

    def both() -> bool | None:
        for completion in driver.poll():
            assert completion.request is not None
            found.append((completion.request.tag, command_response(completion.answer).status))
        return len(found) == 2 or None

    driver.wait_for("both commands", both, 5.0)
    assert sorted(found) == [(100, ScsiStatus.CHECK_CONDITION), (101, ScsiStatus.GOOD)]
    logged = [(r.export, r.command, r.lba) for r in machine.disk.log() if r.lba in (first.lba, second.lba)]
    assert sorted(logged) == [("disk", NbdCommand.READ, 10), ("disk", NbdCommand.READ, 20)]
    assert str(driver.run(0, DISK.lun, read_10(30), tag=9)) == "OK"


def test_a_main_loop_that_does_not_answer_is_told(machine: QtestMachine) -> None:
    """A LUN reset waits for the held READ and blocks the main loop; the release is possible all the same."""
    hold(machine, 1)
    reset = machine.driver.manage_task(Tmf.LOGICAL_UNIT_RESET, DISK.lun, 0)
    with pytest.raises(DeadlineError, match="query-status"):
        machine.monitor.execute("query-status", timeout_s=0.3)
    machine.disk.release_all()
    ended: list[object] = []

    def both() -> bool | None:
        ended.extend(completion.request for completion in machine.driver.poll())
        return len(ended) == 2 or None

    machine.driver.wait_for("the reset", both, 5.0)
    assert reset in ended


@pytest.mark.parametrize(("loses_it", "what"), [(False, None), (True, NEW_CONNECTION)])
def test_what_moves_a_machine_is_found_out(
    machine: QtestMachine, monkeypatch: pytest.MonkeyPatch, loses_it: bool, what: str | None
) -> None:
    """A command goes on with the disk's answer; one whose answer is lost, when the connection is closed."""
    hold(machine, 1)
    if loses_it:
        monkeypatch.setattr(machine.disk, "release_all", machine.disk._held.clear)

    def ended() -> bool:
        machine.driver.poll()
        return machine.driver.in_device == 0

    assert nudged(machine, ended) == what


def test_without_the_qtest_accelerator(qemu_binary: Build, tmp_path: Path) -> None:
    """TCG with a firmware that halts does as well."""
    spec = replace(spec_of(qemu_binary.qemu), accelerator=Accelerator.TCG)
    with start_machine(spec, tmp_path) as machine:
        make_ready(machine)
        assert str(machine.driver.run(3, DISK.lun, read_10(1), tag=2)) == "OK"


def test_a_binary_without_the_qtest_accelerator(qemu_binary: Build, tmp_path: Path) -> None:
    """As distributions build it: QEMU refuses the accelerator, and a whole case passes under TCG."""
    without = tmp_path / "qemu-system-x86_64"
    rename = 'for word; do shift; [ "$word" = qtest ] && word=no-such; set -- "$@" "$word"; done'
    without.write_text(f'#!/bin/sh\n{rename}\nexec {shlex.quote(str(qemu_binary.qemu))} "$@"\n')
    without.chmod(0o700)
    (tmp_path / "machine").mkdir()
    with start_machine(spec_of(without), tmp_path / "machine") as machine:
        assert machine.spec.accelerator is Accelerator.TCG
    assert "2" in mappings_of(without)
    case = replace(ABORT, mapping="2")
    result = run_case(without, case, tmp_path / "evidence", Backtraces())
    assert result.judgement.verdict is Verdict.PASSED, result.judgement


def test_a_qemu_that_does_not_start(qemu_binary: Build, tmp_path: Path) -> None:
    """It is a boot error with QEMU's own words, and nothing is left behind."""
    spec = replace(spec_of(qemu_binary.qemu), controller={"iothread": "nope"})
    with pytest.raises(BootError, match="nope"):
        start_machine(spec, tmp_path)
    assert not (tmp_path / "nbd").exists()


def test_the_matrix_of_one_mapping(qemu_binary: Build, tmp_path: Path) -> None:
    """Everything passes but what is known; each command was served by the thread that the mapping names."""
    assert "2" in mappings_of(qemu_binary.qemu)
    cases = matrix_cases(["2"])
    results = run_matrix(qemu_binary.qemu, cases, evidence=tmp_path, progress=SilentProgress(), title="matrix")
    assert len(results) == 86
    known = {Tmf.ABORT_TASK, Tmf.ABORT_TASK_SET, Tmf.CLEAR_TASK_SET}
    unexpected = {
        result.case.id: result.judgement
        for result in results
        if result.judgement.verdict is not Verdict.PASSED
        and not (result.case.subtype in known and result.case.tag_state is TagState.BEING_ABORTED)
    }
    assert not unexpected, f"besides {HELD_BACK}"
    in_flight = [result for result in results if result.case.tag_state is TagState.IN_FLIGHT]
    assert {ending.served_by for result in in_flight for ending in result.seen.commands} == {("t0",), ("t1",)}


def run_one(qemu: Path, evidence: Path, *, before_sending: Callable[[QtestMachine], None]) -> TmfResult:
    """Run one case with something done to QEMU at the worst moment."""

    class Disturbed(Performance):
        def _send(self) -> None:
            before_sending(self._machine)
            super()._send()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix, "Performance", Disturbed)
        return run_case(qemu, ABORT, evidence, Backtraces())


def test_a_hang_is_a_finding_with_evidence(qemu_binary: Build, tmp_path: Path) -> None:
    """A QEMU that stops in the middle of a case fails it; threads, QMP and backtrace are kept, no process is."""
    pids: list[int] = []

    def stop(machine: QtestMachine) -> None:
        pids.append(machine.process.pid)
        os.kill(machine.process.pid, signal.SIGSTOP)

    result = run_one(qemu_binary.qemu, tmp_path, before_sending=stop)
    assert result.judgement.verdict is Verdict.FAILED and answer_of(result.seen.function) is None
    assert result.judgement.reasons[0] == "the function was never answered"
    assert result.evidence is not None
    facts = json.loads((result.evidence / "hang.json").read_text())
    assert facts["stall"] == "every thread of QEMU sleeps" and "did not come" in facts["qmp"]["error"]
    assert (result.evidence / "trace.log").stat().st_size and (result.evidence / "command-line.txt").stat().st_size
    assert not any(Path("/proc", str(pid)).exists() for pid in pids)


def test_a_crash_is_a_finding(qemu_binary: Build, tmp_path: Path) -> None:
    """A QEMU that ends in the middle of a case fails it, with the signal."""
    result = run_one(
        qemu_binary.qemu, tmp_path, before_sending=lambda machine: os.kill(machine.process.pid, signal.SIGABRT)
    )
    assert result.judgement.verdict is Verdict.FAILED and "signal SIGABRT" in result.judgement.reasons[0]
    assert result.evidence is not None and (result.evidence / "case.json").exists()


def test_a_case_that_cannot_be_performed_is_undecided(qemu_binary: Build, tmp_path: Path) -> None:
    """It is tried three times, each on a machine of its own."""

    def give_up(_: QtestMachine) -> None:
        raise StageError("the lab is in trouble")

    result = run_one(qemu_binary.qemu, tmp_path, before_sending=give_up)
    assert result.judgement.verdict is Verdict.UNDECIDED and result.attempts == 3
    assert "the lab is in trouble" in result.judgement.reasons[0]
