"""Resets, pauses and ends: of a logical unit, of the machine, of its CPUs, and of QEMU with requests in flight."""

from __future__ import annotations

from contextlib import suppress

from lab.errors import MonitorError
from lab.scenario.stage import STEP_S, ScenarioError, Stage

_PAUSE_S = 1.0


def reset_lun(stage: Stage, number: int) -> None:  # noqa: ARG001 - every scenario is told its turn
    """Reset the loaded logical unit from the guest: the only TMF but ABORT_TASK that Linux sends (sg_reset -d -N)."""
    stage.disturb("LOGICAL_UNIT_RESET")
    done = stage.shell.run("sg_reset -d -N /dev/sg0", timeout_s=STEP_S, check=False)
    if done.exited != 0:
        raise ScenarioError(
            f"the logical unit reset failed in the guest: {(done.stderr or done.stdout).strip()[-300:]}"
        )


def stop_and_continue(stage: Stage, number: int) -> None:  # noqa: ARG001 - every scenario is told its turn
    """Stop the vCPUs for a second (stop, cont). The guest's clock stops too, so the trace shows the ends of it only."""
    stage.disturb("stop, cont")
    stage.qmp("stop")
    stage.make_deadline(_PAUSE_S).rest()
    stage.qmp("cont")


def reset_system(stage: Stage, number: int) -> None:  # noqa: ARG001 - every scenario is told its turn
    """Reset the machine under load (system_reset). It must boot again, see its disk, and find the data on it."""
    stage.settle()
    stage.qmp("set-action", {"reboot": "reset"})  # the lab starts QEMU with -no-reboot, so that a panic ends it
    stage.reset_guest("system_reset")
    stage.load.verify_old()
    stage.load.start()


def quit_under_load(stage: Stage, number: int) -> None:  # noqa: ARG001 - every scenario is told its turn
    """End QEMU with requests in flight (quit): it must end by itself, in time and without an error."""
    stage.settle()
    stage.guest_ended = True
    with suppress(MonitorError):  # it may close the connection before its answer is out
        stage.guest.monitor.execute("quit", timeout_s=STEP_S)
    code = stage.guest.process.ended_within(STEP_S)
    if code is None:
        raise ScenarioError(f"QEMU did not end within {STEP_S:g} s of quit, with requests in flight")
    if code != 0:
        raise ScenarioError(f"QEMU ended with status {code} on quit, with requests in flight")
