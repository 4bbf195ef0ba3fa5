"""A machine that fell silent, to whether it hangs or is late, and to the evidence of either.

*Late* is not *never*. So the main loop is asked first, then whether requests still complete; only a QEMU that owes
something, and sleeps or gets nowhere, hangs. One that was not given CPU time decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from lab.deadline import Deadline
from lab.errors import BootError, CrashError, DeadlineError, GuestError, MonitorError, StageError
from lab.machine import hang
from lab.machine.guest import Guest
from lab.machine.mapping import Device
from lab.machine.monitor import Monitor
from lab.scenario.load import StuckError
from lab.scenario.stage import ScenarioError
from lab.virtio.tmf.watchdog import Stall, WatchedProcess, wait_or_stall

_LOOK_S = 20.0
_PATIENCE_S = 0.5
_BETWEEN_S = 2.0
_STUCK_S = 10.0
"""Between two looks at what completed, where nothing else is asked before it is called a hang."""
_QMP_S = 2.0
_OTHER_QUEUES = {Device.VIRTIO_SCSI: 2, Device.VIRTIO_BLK: 0}
_MAY_BE_THE_HOST = "timer"
"""Linux panics at boot where its timer interrupts do not come in time ("IO-APIC + timer doesn't work!")."""


def fault_of(guest: Guest, err: StageError, *, make_deadline: Callable[[float], Deadline] = Deadline) -> str | None:
    """Look at a machine whose guest or monitor fell silent, say how it hangs, and keep what was seen in any case.

    A guest without KVM keeps its CPUs busy by itself, so a busy QEMU whose main loop answers proves nothing.

    :return: None where it may be slow only, and where something else is wrong than silence.
    """
    if isinstance(err, ScenarioError | CrashError | BootError):
        return None
    if not isinstance(err, DeadlineError | GuestError | MonitorError | StuckError):
        return None
    panic = guest.panic()
    if panic is not None:
        return None if _MAY_BE_THE_HOST in panic else "the guest's kernel ended"
    fault = _hang_of(guest, err, make_deadline)
    _save(guest, fault)
    return fault


def _hang_of(guest: Guest, err: StageError, make_deadline: Callable[[float], Deadline]) -> str | None:
    if "error" in _ask(guest.monitor, "query-status", timeout_s=_LOOK_S):
        stall = _stall(guest)
        return None if stall in (None, Stall.TOO_SLOW) else f"QEMU's main loop does not answer ({stall})"
    before = _completed(guest.monitor)
    make_deadline(_STUCK_S if isinstance(err, StuckError) else _BETWEEN_S).rest()
    if before is None or _completed(guest.monitor) != before:
        return None
    if isinstance(err, StuckError):
        return "no request completes any more"
    stall = _stall(guest)
    if stall in (Stall.ASLEEP, Stall.EXITED) and _completed(guest.monitor) == before:
        return f"{stall}, and no request completes"
    return None


def _save(guest: Guest, fault: str | None) -> None:
    """Write what QMP and the kernel say of a silent machine to ``hang.json``, and every stack beside it."""
    controller = guest.spec.controllers[0]
    facts: dict[str, Any] = {"fault": fault, "threads": hang.thread_facts(guest.process.pid)}
    for command in ("query-status", "query-jobs", "query-blockstats"):
        facts[command] = _ask(guest.monitor, command)
    answers = "error" not in facts["query-status"]
    path = f"/machine/peripheral/{controller.id}/virtio-backend"
    facts["queues"] = [
        _ask(guest.monitor, "x-query-virtio-queue-status", {"path": path, "queue": queue})
        for queue in (range(controller.num_queues + _OTHER_QUEUES[controller.model]) if answers else ())
    ]
    (guest.evidence / "hang.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    hang.save_backtrace(guest.process.pid, guest.evidence)


def _stall(guest: Guest) -> Stall | None:
    return wait_or_stall(WatchedProcess(guest.process), lambda: False, patience_s=_PATIENCE_S, limit_s=_LOOK_S)


def _completed(monitor: Monitor) -> int | None:
    """Return how many requests QEMU has completed for its devices; None where it does not say."""
    said = _ask(monitor, "query-blockstats").get("answer")
    if not isinstance(said, list):
        return None
    return sum(int(device["stats"][name]) for device in said for name in ("rd_operations", "wr_operations"))


def _ask(
    monitor: Monitor, command: str, arguments: Mapping[str, object] | None = None, *, timeout_s: float = _QMP_S
) -> dict[str, Any]:
    """Return what QEMU answers, or what became of the question."""
    try:
        return {"answer": monitor.execute(command, arguments, timeout_s=timeout_s)}
    except (MonitorError, DeadlineError) as err:
        return {"error": err.message}
