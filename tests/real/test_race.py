"""Races and malformed requests on a real QEMU: what is known to go wrong is found, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab.build.build import Build
from lab.progress import SilentProgress
from lab.virtio.backing import Backing
from lab.virtio.malformed.attempt import run_cases
from lab.virtio.malformed.case import malformed_cases
from lab.virtio.malformed.fuzz import fuzz
from lab.virtio.malformed.session import FuzzSession
from lab.virtio.race import campaign
from lab.virtio.race.attempt import attempt
from lab.virtio.race.campaign import Performers, findings_of, run_schedules
from lab.virtio.race.draw import Theme, draw
from lab.virtio.race.judge import FaultKind
from lab.virtio.race.schedule import Action, Schedule, Step
from lab.virtio.race.show import write_finding
from lab.virtio.tmf.controller import controller_mapping
from lab.virtio.virtio_scsi import Tmf

EARLY = "notification before DRIVER_OK"
"""docs/findings/0004-requests-before-driver-ok.md"""


def race_of(mapping: str, backing: Backing, *steps: Step) -> Schedule:
    """Return a schedule of these steps."""
    controller = controller_mapping(mapping, 4)
    return Schedule(0, mapping, controller.iothreads, controller.properties, 4, backing, steps)


def test_every_theme_without_iothreads_is_clean(qemu_binary: Build, tmp_path: Path) -> None:
    """In the main loop no race is known; every operation is performed, and QEMU lives."""
    schedules = [draw(1, ["none"], [theme]) for theme in Theme if theme is not Theme.IOTHREADS]
    with Performers(qemu_binary.qemu) as performers:
        results = run_schedules(performers, schedules, evidence=tmp_path, progress=SilentProgress())
    serious = {FaultKind.CRASH, FaultKind.HANG, FaultKind.TWICE, FaultKind.WRONG_DATA}
    assert not [fault for result in results for fault in result.judgement.faults if fault.kind in serious]


def test_an_iothread_that_is_replaced_aborts_qemu(
    qemu_binary: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/findings/0003: found, made shorter, and the script shows it without the lab or any library."""
    monkeypatch.setattr(campaign, "_CONFIRMATIONS", 4)
    monkeypatch.setattr(campaign, "_BATCH", 2)
    order = (Action.READ, Action.IOTHREAD_DEL, Action.IOTHREAD_ADD, Action.CONTROLLER_DEL)
    schedule = race_of("2", Backing.NULL, *(Step(action, queue=1) for action in order))
    with Performers(qemu_binary.qemu) as performers:
        # The deleted IOThread must be used at the wrong moment, which one performance may miss.
        results = run_schedules(performers, [schedule] * 12, evidence=tmp_path, progress=SilentProgress())
        aborted = [result for result in results if result.judgement.faults]
        assert aborted
        finding = findings_of(performers, aborted[:1], reduce=True, progress=SilentProgress())[0]
    assert finding.fault.kind is FaultKind.CRASH and "object_finalize" in finding.fault.gist
    assert finding.failed > 0
    left = [step.action for step in finding.shortest.steps]  # a slow host may need the READ, too, to show it every time
    assert set(order[1:]) <= set(left) and len(left) <= len(order)
    script = write_finding(finding, tmp_path).script
    argv = [sys.executable, "-I", "-S", str(script), str(qemu_binary.qemu), "--times", "12"]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1 and "object_finalize" in ended.stdout, ended.stderr


def test_a_reset_races_with_iothreads(qemu_binary: Build) -> None:
    """Commands that a LUN reset cancels end ABORTED now and then, with an IOThread; without one never."""
    load = [Step(Action.LOAD, queue=queue, count=8) for queue in range(4)]
    resets = [Step(Action.FUNCTION, function=Tmf.LOGICAL_UNIT_RESET, pause_us=1000)] * 50
    for mapping, expected in (("none", False), ("iothread", True)):
        schedule = race_of(mapping, Backing.FILE, *load, *resets)
        faults = {
            (fault.kind, fault.gist)
            for _ in range(3 if mapping == "none" else 6)
            for fault in attempt(qemu_binary.qemu, schedule, evidence=None).judgement.faults
        }
        assert bool(faults) is expected, mapping
        assert {kind for kind, _ in faults} <= {FaultKind.WRONG_END, FaultKind.LATE_END}


def test_malformed_requests_break_nothing(qemu_binary: Build, tmp_path: Path) -> None:
    """All react as allowed and work after a reset, but for the one that is known."""
    results = run_cases(qemu_binary.qemu, malformed_cases(), ["2"], evidence=tmp_path, progress=SilentProgress())
    assert len(results) >= 32
    assert {result.name: result.faults for result in results if result.faults}.keys() == {EARLY}
    assert not [result.trouble for result in results if result.trouble]


def test_drawn_requests_break_nothing(qemu_binary: Build, tmp_path: Path) -> None:
    """A few from the fuzzer, one after the other on one QEMU."""
    with FuzzSession(qemu_binary.qemu, "2", tmp_path) as session:
        assert fuzz(session.faults_of, examples=30, start_seed=3) is None
        assert session.tried >= 30
