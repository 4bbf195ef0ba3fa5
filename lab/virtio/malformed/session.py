"""Request after request before one QEMU, which is replaced when it has failed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from lab.command import text_from_argv
from lab.scratch import scratch_folder
from lab.virtio.evidence import keep_evidence
from lab.virtio.malformed.attempt import spec_for, tried
from lab.virtio.malformed.request import MalformedRequest
from lab.virtio.qtest_machine import QtestMachine, start_machine


class FuzzSession:
    """A QEMU to put requests before; a context manager that ends it.

    :param mapping: name of the mapping of its queues.
    :param evidence: folder for logs of the last failure; made only then.
    """

    def __init__(self, qemu: Path, mapping: str, evidence: Path) -> None:
        self.tried = 0
        """Requests so far."""
        self._spec = spec_for(qemu, mapping)
        self._evidence = evidence
        self._stack = ExitStack()
        self._machine: QtestMachine | None = None
        self._folder = Path()

    def faults_of(self, request: MalformedRequest) -> tuple[str, ...]:
        """Return what is wrong with QEMU after a request and a reset; empty where nothing is.

        :raise LabError: QEMU does not start.
        """
        machine = self._machine or self._start()
        self.tried += 1
        _, faults, _ = tried(machine, request, patient=False)
        if faults:
            self._keep(machine, request, faults)
            self._end()
        return faults

    def __enter__(self) -> FuzzSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _start(self) -> QtestMachine:
        self._folder = self._stack.enter_context(scratch_folder())
        self._machine = self._stack.enter_context(start_machine(self._spec, self._folder))
        return self._machine

    def _end(self) -> None:
        self._machine = None
        self._stack.close()

    def _keep(self, machine: QtestMachine, request: MalformedRequest, faults: tuple[str, ...]) -> None:
        command_line = text_from_argv(machine.process.argv)
        story: dict[str, object] = {"faults": list(faults), "request": request.to_json()}
        target = self._evidence / "last-failure"
        keep_evidence(self._folder, target, command_line=command_line, story_file="story.json", story=story)
