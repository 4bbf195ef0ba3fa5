"""The guest to a second QEMU on this host, live and under load, where other IOThreads serve its queues.

Which IOThread serves a queue is configuration of the host side and no part of the migrated state (neither
``VMStateDescription`` of hw/scsi/virtio-scsi.c and hw/block/virtio-blk.c has it), so the destination may differ.
Commands: qapi/migration.json.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lab.deadline import Deadline
from lab.machine.guest import CONSOLE_LOG, Guest, connected, mapping_difference, started
from lab.machine.mapping import IOThreadMapping
from lab.machine.monitor import Monitor
from lab.machine.spec import MachineSpec
from lab.machine.threads import thread_map
from lab.scenario.stage import STEP_S, ScenarioError, Stage

_AT_ONCE = 1 << 34
"""Bytes per second: the default is meant for a network that others use too."""
_ENDED = frozenset({"completed", "failed", "cancelled"})


def migrate(stage: Stage, number: int) -> None:
    """Migrate the guest under load to a QEMU whose mapping is the reverse of the one it came from."""
    source = stage.guest
    spec = _with_other_mapping(source.spec)
    evidence = stage.site.evidence / f"destination{number}"
    evidence.mkdir()
    process, monitor = stage.stack.enter_context(
        started(
            stage.site.qemu, stage.site.firmware, spec, stage.site.boot, evidence=evidence, words=("-incoming", "defer")
        )
    )
    monitor.execute("migrate-incoming", {"uri": "tcp:127.0.0.1:0"})
    port = _port(monitor)
    stage.qmp("migrate-set-parameters", {"max-bandwidth": _AT_ONCE})
    stage.disturb("migrate")
    stage.qmp("migrate", {"uri": f"tcp:127.0.0.1:{port}"})
    _wait_for_end(source.monitor, stage.make_deadline)
    stage.shell.close()
    console = stage.site.evidence / CONSOLE_LOG  # the guest said its host key where it booted
    shell = connected(process, monitor, console, stage.site.key, Deadline(STEP_S))
    stage.stack.callback(shell.close)
    threads = thread_map(process.pid, monitor)
    stage.move_to(Guest(spec, process, monitor, shell, threads, source.boot_s, evidence))
    source.process.stop(lambda: source.monitor.execute("quit", timeout_s=STEP_S))
    for controller in spec.controllers:
        difference = mapping_difference(stage.guest, controller)
        if difference is not None:
            raise ScenarioError(f"after the migration {controller.id} has another mapping than asked for: {difference}")


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


def _wait_for_end(monitor: Monitor, make_deadline: Callable[[float], Deadline]) -> None:
    """Wait until the source has handed the guest over.

    :raise ScenarioError: the migration failed.
    :raise StageError: it does not end, or QEMU went away.
    """

    def ended() -> dict[str, object] | None:
        status: dict[str, object] = monitor.execute("query-migrate")
        return status if status.get("status") in _ENDED else None

    status = make_deadline(STEP_S).wait_for("the migration to end", ended, interval_s=0.05)
    if status["status"] != "completed":
        raise ScenarioError(f"the migration {status['status']}: {status.get('error-desc', 'QEMU does not say why')}")
