"""A machine and a plan to what happened: holds commands in flight, sends the function, lets go, and watches.

Nothing is judged here. Times are real; the order of events is by passes over the rings (see virtio_scsi_driver).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from lab.deadline import Deadline
from lab.errors import DeadlineError
from lab.machine.threads import thread_map
from lab.virtio.hold_server import block_pattern
from lab.virtio.qtest_machine import BackgroundCommand, QtestMachine
from lab.virtio.scsi import read_10, test_unit_ready
from lab.virtio.tmf.case import TmfCase
from lab.virtio.tmf.observation import Ending, Observation
from lab.virtio.tmf.oracle import selects, waits_for_commands
from lab.virtio.tmf.plan import ADDRESSED, UNITS, Plan, PlannedCommand, Unplug
from lab.virtio.tmf.watchdog import Stall, Watched, WatchedProcess, wait_or_stall
from lab.virtio.tmf.witness import Trace
from lab.virtio.virtio_scsi import Lun, Tmf, command_response, unwritten
from lab.virtio.virtio_scsi_driver import Completion, Request

_PATIENCE_S = 1.0
_LIMIT_S = 15.0
_GLANCE_S = 0.05
"""How long to wait, before QEMU's threads are looked at, for something that need not happen."""
_EARLY_S = 0.01
"""Time for a function to be answered although what it waits for has not ended."""
_UNPLUG_S = 0.05
"""Time for device_del to arrive; it leaves no trace of its own when there is nothing to cancel."""
_SETTLE_S = 0.01


class Performance:
    """One case on one machine. The observation is complete after :meth:`run`, or as far as it got.

    :param machine: fresh; its driver is not started.
    :param process: QEMU as it is watched for progress; by default that of the machine.
    """

    def __init__(
        self,
        machine: QtestMachine,
        case: TmfCase,
        plan: Plan,
        *,
        process: Watched | None = None,
        make_deadline: Callable[[float], Deadline] = Deadline,
    ) -> None:
        self._machine = machine
        self._driver = machine.driver
        self._process = process or WatchedProcess(machine.process)
        self._make_deadline = make_deadline
        self._case = case
        self._plan = plan
        self._trace = Trace(machine.trace_log)
        self._completions: dict[Request, Completion] = {}
        self._threads: dict[int, str] = {}
        self._held: list[Request] = []
        self._function: Request | None = None
        self._earlier: Request | None = None
        self._unplug: BackgroundCommand | None = None
        self.observation = Observation()

    def run(self) -> None:
        """Perform the case.

        :raise LabError: it could not even be set up, or QEMU went away.
        """
        self._prepare()
        try:
            if self._wait("the commands to reach the disk", self._all_held):
                self._send()
                self._let_go()
                if self._wait("everything to end", self.everything_ended):
                    self._settle()
                    self._look_after()
        finally:
            self._conclude()

    def everything_ended(self) -> bool:
        """Tell whether the device has returned all that it was given, and QMP has answered."""
        self._look()
        return not self._driver.in_device and (self._unplug is None or self._unplug.finished)

    def _prepare(self) -> None:
        threads = thread_map(self._machine.process.pid, self._machine.monitor)
        self._threads = dict(threads.names) | {threads.pid: "main loop"}
        self._driver.start()
        for unit in UNITS:
            self._driver.until_ready(unit.lun, queue=self._case.queue)
        for command in self._plan.finished:
            self._driver.run(command.queue, command.unit.lun, read_10(command.lba), tag=command.tag)
        self._trace.forget()
        self._machine.disk.hold()
        self._held = [self._submit(command) for command in self._plan.held]

    def _submit(self, command: PlannedCommand) -> Request:
        return self._driver.submit(command.queue, command.unit.lun, read_10(command.lba), tag=command.tag)

    def _all_held(self) -> bool:
        self._look()
        return len(self._machine.disk.held()) == len(self._plan.held)

    def _send(self) -> None:
        """Send the function, and wait until QEMU has begun to act on it."""
        plan, case = self._plan, self._case
        if plan.aborted_before:
            self._earlier = self._driver.manage_task(Tmf.ABORT_TASK, plan.lun, plan.tag)
            self._expect(lambda: self._acted(Tmf.ABORT_TASK, functions=1))
        if plan.unplug is Unplug.BEFORE:
            self._device_del()
        self._function = self._driver.manage_task(case.subtype, plan.lun, plan.tag)
        if plan.unplug is Unplug.BEFORE:  # device_del keeps the main loop until the LUN's commands have ended
            self._try(self._function_ended, _UNPLUG_S)
            self._release(lambda command: command.unit == ADDRESSED)
        if waits_for_commands(case.subtype):
            self._let_it_act(functions=2 if plan.aborted_before else 1)
        else:
            self._wait("the answer of the function", self._function_ended)
        if plan.unplug is Unplug.AFTER:
            self._device_del()

    def _let_it_act(self, functions: int) -> None:
        """Wait until QEMU is cancelling every command that the function selects, and look for an early answer.

        A reset of a target goes from LUN to LUN and waits for each; then the commands that it waits for are released.
        """
        while True:
            self._expect(lambda: self._function_ended() or self._acted(self._case.subtype, functions))
            if self._function_ended() or self._acted(self._case.subtype, functions):
                break
            if not self._release(self._is_of_a_reset_lun):
                break
        self._try(self._function_ended, _EARLY_S)

    def _is_of_a_reset_lun(self, command: PlannedCommand) -> bool:
        """Tell whether QEMU is cancelling everything that this command's LUN has in flight."""
        mates = [other for other in self._plan.held if other.unit == command.unit]
        return all(self._trace.cancelled(mate.unit.lun.lun, mate.tag) for mate in mates)

    def _let_go(self) -> None:
        """Release what is held; of the commands that the function waits for, one after the others.

        A function that is answered before the last of them has ended has miscounted.
        """
        plan = self._plan
        held = list(zip(self._held, plan.held, strict=True))
        chosen = [
            command
            for request, command in held
            if not self._ended(request) and selects(self._case.subtype, plan.lun, plan.tag, command)
        ]
        if chosen:
            last = min(chosen, key=self._release_order)
            self._release(lambda command: command != last)
            others = [request for request, command in held if command != last]
            self._expect(lambda: all(self._ended(request) for request in others))
            self._try(self._function_ended, _EARLY_S)
        self._machine.disk.release_all()

    def _release_order(self, command: PlannedCommand) -> tuple[bool, bool]:
        """Return what sorts the command that is released last first: one that QEMU overlooks, else the tagged one."""
        overlooked = not self._trace.cancelled(command.unit.lun.lun, command.tag)
        return not overlooked, (command.unit.lun, command.tag) != (self._plan.lun, self._plan.tag)

    def _release(self, chosen: Callable[[PlannedCommand], bool]) -> int:
        """Let go of some of the commands that the disk holds, and say of how many."""
        wanted = {(command.unit.name, command.lba) for command in self._plan.held if chosen(command)}
        found = [request for request in self._machine.disk.held() if (request.export, request.lba) in wanted]
        for request in found:
            self._machine.disk.release(request)
        return len(found)

    def _device_del(self) -> None:
        patience_s = _LIMIT_S + _PATIENCE_S
        self._unplug = self._machine.start_command("device_del", {"id": ADDRESSED.device_id}, timeout_s=patience_s)
        self._try(lambda: False, _UNPLUG_S)

    def _function_ended(self) -> bool:
        self._look()
        return self._function in self._completions

    def _acted(self, subtype: int, functions: int) -> bool:
        """Tell whether the trace shows functions taken, and every command that they select being cancelled."""
        self._look()
        self._trace.catch_up()
        selected = [c for c in self._plan.held if selects(subtype, self._plan.lun, self._plan.tag, c)]
        taken = len(self._trace.function_threads(self._plan.lun.lun, self._plan.tag))
        return taken >= functions and all(self._trace.cancelled(c.unit.lun.lun, c.tag) for c in selected)

    def _look(self) -> None:
        for completion in self._driver.poll():
            if completion.request is None:
                self.observation.strays += 1
                continue
            self._completions[completion.request] = completion
            buffer = completion.request.data_in  # what changes from here on is written too late
            self._machine.memory.write(buffer.address, unwritten(buffer.size))

    def _expect(self, check: Callable[[], bool]) -> None:
        """Wait for something that happens, unless QEMU sleeps without it."""
        if self._stall(check, _GLANCE_S) is Stall.TOO_SLOW:
            self._note(Stall.TOO_SLOW, "QEMU to act")

    def _wait(self, what: str, check: Callable[[], bool]) -> bool:
        """Wait for something that has to happen; on a stall, note it."""
        stall = self._stall(check, _PATIENCE_S)
        if stall is not None:
            self._note(stall, what)
        return stall is None

    def _stall(self, check: Callable[[], bool], patience_s: float) -> Stall | None:
        return wait_or_stall(
            self._process, check, patience_s=patience_s, limit_s=_LIMIT_S, make_deadline=self._make_deadline
        )

    def _note(self, stall: Stall, what: str) -> None:
        """Keep the first stall; later ones follow from it."""
        if self.observation.stall is None:
            self.observation.stall = stall
            self.observation.waiting_for = what

    def _try(self, check: Callable[[], bool], seconds: float) -> None:
        """Wait a fixed time for something that need not happen."""
        deadline = self._make_deadline(seconds)
        with suppress(DeadlineError):
            deadline.wait_for("something that need not happen", lambda: check() or None, interval_s=0.001)

    def _settle(self) -> None:
        """Look a little longer, for what ends twice."""

        def look_on() -> bool:
            self._look()
            return False

        self._try(look_on, _SETTLE_S)

    def _look_after(self) -> None:
        """Ask every LUN how it is: a reset is reported, everything else goes on as if nothing had been."""
        for unit in UNITS:
            if self._plan.unplug is not Unplug.NEVER and unit == ADDRESSED:
                continue
            if not self._asked(unit.lun):
                return

    def _asked(self, lun: Lun) -> bool:
        request = self._driver.submit(self._case.queue, lun, test_unit_ready(), tag=2)
        if not self._wait(f"TEST UNIT READY to LUN {lun}", lambda: self._ended(request)):
            return False
        self.observation.after[lun] = str(self._ending(request).response)
        return True

    def _ended(self, request: Request) -> bool:
        self._look()
        return request in self._completions

    def _conclude(self) -> None:
        self._trace.catch_up()
        pairs = zip(self._held, self._plan.held, strict=True)
        self.observation.commands = tuple(self._command_ending(request, command) for request, command in pairs)
        self.observation.function = self._function_ending(self._function)
        self.observation.earlier = self._function_ending(self._earlier)
        if self._unplug is not None:
            self.observation.unplug_refused = self._unplug.error

    def _command_ending(self, request: Request, command: PlannedCommand) -> Ending:
        ending = self._ending(request, self._trace.command_threads(command.unit.lun.lun, command.tag), command.lba)
        buffer = request.data_in
        late = self._machine.memory.read(buffer.address, buffer.size) != unwritten(buffer.size)
        return replace(ending, overwritten=ending.ended and late)

    def _function_ending(self, request: Request | None) -> Ending | None:
        if request is None:
            return None
        return self._ending(request, self._trace.function_threads(self._plan.lun.lun, self._plan.tag))

    def _ending(self, request: Request, threads: tuple[int, ...] = (), lba: int | None = None) -> Ending:
        found = self._completions.get(request)
        names = tuple(dict.fromkeys(self._threads.get(thread, f"thread {thread}") for thread in threads))
        if found is None:
            return Ending(ended=False, pass_number=0, answer=b"", data_ok=True, served_by=names)
        good = lba is None or str(command_response(found.answer)) != "OK" or found.data == block_pattern(lba)
        return Ending(ended=True, pass_number=found.pass_number, answer=found.answer, data_ok=good, served_by=names)
