"""The guest to a second QEMU on this host, live and under load, where other IOThreads serve its queues.

Which IOThread serves a queue is configuration of the host side and no part of the migrated state (neither
``VMStateDescription`` of hw/scsi/virtio-scsi.c and hw/block/virtio-blk.c has it), so the destination may differ.
Commands: qapi/migration.json.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.deadline import Deadline
from lab.errors import BootError, CrashError, MonitorError, StageError
from lab.machine.guest import CONSOLE_LOG, Guest, connected, mapping_difference, started
from lab.machine.mapping import IOThreadMapping
from lab.machine.monitor import Monitor
from lab.machine.process import QemuProcess
from lab.machine.spec import MachineSpec
from lab.machine.threads import thread_map
from lab.scenario.stage import STEP_S, ScenarioError, Stage

_AT_ONCE = 1 << 34
"""Bytes per second: the default is meant for a network that others use too."""
_ENDING_S = 1.0
_ENDED = frozenset({"completed", "failed", "cancelled"})


def migrate(stage: Stage, number: int) -> None:
    """Migrate the guest under load to a QEMU whose mapping is the reverse of the one it came from."""
    source = stage.guest
    spec = _with_other_mapping(source.spec)
    evidence = stage.site.evidence / f"destination{number}"
    evidence.mkdir()
    process, monitor = _destination(stage, spec, evidence)
    port = _port(monitor)
    stage.qmp("migrate-set-parameters", {"max-bandwidth": _AT_ONCE})
    stage.disturb("migrate")
    stage.qmp("migrate", {"uri": f"tcp:127.0.0.1:{port}"})
    total_s, downtime_s = _wait_for_end(source.monitor, stage.make_deadline)
    stage.mark_after("switch-over", total_s - downtime_s)
    stage.paused_s += downtime_s
    stage.shell.close()
    console = stage.site.evidence / CONSOLE_LOG  # the guest said its host key where it booted
    try:
        shell = connected(process, monitor, console, stage.site.key, Deadline(STEP_S))
    except StageError as err:
        raise _why(process, err) from err
    stage.stack.callback(shell.close)
    threads = thread_map(process.pid, monitor)
    stage.move_to(Guest(spec, process, monitor, shell, threads, source.boot_s, evidence))
    source.process.stop(lambda: source.monitor.execute("quit", timeout_s=STEP_S))
    for controller in spec.controllers:
        difference = mapping_difference(stage.guest, controller)
        if difference is not None:
            raise ScenarioError(f"after the migration {controller.id} has another mapping than asked for: {difference}")


def _destination(stage: Stage, spec: MachineSpec, evidence: Path) -> tuple[QemuProcess, Monitor]:
    """Start the QEMU that the guest goes to; it listens.

    :raise CrashError: it ended by itself.
    :raise ScenarioError: it refuses to listen.
    :raise StageError: it does not answer.
    """
    site = stage.site
    waiting = started(site.qemu, site.firmware, spec, site.boot, evidence=evidence, words=("-incoming", "defer"))
    try:
        process, monitor = stage.stack.enter_context(waiting)
    except BootError as err:
        ended = "ended by itself" in err.message
        raise (CrashError(f"the destination: {err.message}", evidence=err.evidence) if ended else err) from err
    try:
        monitor.execute("migrate-incoming", {"uri": "tcp:127.0.0.1:0"}, timeout_s=STEP_S)
    except MonitorError as err:
        raise _why(process, ScenarioError(f"the destination: {err.message}")) from err
    return process, monitor


def _why(process: QemuProcess, err: StageError) -> StageError:
    """Return what is behind an error: the destination's end outweighs what was noticed first."""
    if process.ended_within(_ENDING_S) is None:
        return err
    return CrashError(process.failure("with the guest that was migrated to it").message, evidence=process.log)


def _with_other_mapping(spec: MachineSpec) -> MachineSpec:
    """Return the machine with the IOThreads of each mapping in reverse order."""
    names = [thread.id for thread in spec.iothreads]
    controllers = tuple(
        replace(controller, mapping=IOThreadMapping.round_robin(tuple(reversed(names))))
        if controller.mapping is not None
        else controller
        for controller in spec.controllers
    )
    return replace(spec, controllers=controllers)


def _port(monitor: Monitor) -> int:
    """Return the port that the destination listens on.

    :raise ScenarioError: it does not say.
    """
    for address in monitor.execute("query-migrate").get("socket-address", []):
        if address.get("type") == "inet":
            return int(address["port"])
    raise ScenarioError("the destination does not say where it listens (query-migrate has no socket-address)")


def _wait_for_end(monitor: Monitor, make_deadline: Callable[[float], Deadline]) -> tuple[float, float]:
    """Wait until the source has handed the guest over.

    :return: seconds that it took, and for how many of them, at the end, the guest ran on neither side.

    :raise ScenarioError: the migration failed.
    :raise StageError: it does not end, or QEMU went away.
    """

    def ended() -> dict[str, Any] | None:
        status: dict[str, Any] = monitor.execute("query-migrate")
        return status if status.get("status") in _ENDED else None

    status = make_deadline(STEP_S).wait_for("the migration to end", ended, interval_s=0.05)
    if status["status"] != "completed":
        raise ScenarioError(f"the migration {status['status']}: {status.get('error-desc', 'QEMU does not say why')}")
    total_ms, downtime_ms = (float(status.get(name, 0)) for name in ("total-time", "downtime"))
    return total_ms / 1000, min(total_ms, downtime_ms) / 1000
