"""Every error the lab raises on purpose, named after what the caller can decide.

::

    LabError                      anything below; carries ``remedy`` and ``exit_code``
     +- InputError           (2)  a job file, mail, result or option is wrong: correct it and call again
     |   `- PatchError       (2)  a patch does not apply to the tree it was given
     +- HostError            (3)  this host cannot do what was asked
     |   `- MissingPackagesError  install what is named, then call again
     +- NotComparableError   (4)  the two sides differ in something that was not asked about
     +- FindingError         (1)  the thing under test failed outside a run: it does not build, say
     `- StageError           (3)  a command, a boot or a guest failed; a run turns it into a recorded outcome
         +- CommandError          a host command exited non-zero or could not be started
         +- DeadlineError         something did not happen in time
         +- BootError             QEMU did not start, or the guest did not come up
         +- CrashError            QEMU ended by itself while the guest ran
         +- GuestError            the guest was up and then did not answer
         +- MonitorError          QMP refused a command or went away
         |   `- RefusedError          QEMU answers, and says no
         +- DeviceError           the device broke a rule of its specification: a fault, never a mishap of the lab
         `- WorkloadError         fio failed or printed nothing that can be read

The exit codes are the contract of ``lab`` (see docs/exit-codes.md). Anything that is not a :class:`LabError` is
a bug in the lab: exit code 70, never a verdict.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What ``lab`` tells the shell; the same numbers for every verb."""

    DONE = 0
    FINDING = 1
    INPUT = 2
    HOST = 3
    UNDECIDED = 4
    INTERNAL = 70
    INTERRUPTED = 130


class LabError(Exception):
    """Root of the tree.

    :param message: what was attempted and what happened, one or two sentences.
    :param remedy: what to do next, or an empty string where nobody knows.
    :param evidence: the file that shows it, where there is one.
    """

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(self, message: str, *, remedy: str = "", evidence: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.evidence = evidence


class InputError(LabError):
    """Something the user gave us is wrong; nothing was changed."""

    exit_code = ExitCode.INPUT


class PatchError(InputError):
    """A patch of the series does not apply."""


class HostError(LabError):
    """This host lacks something that cannot be worked around."""

    exit_code = ExitCode.HOST


class MissingPackagesError(HostError):
    """Host packages are missing; the remedy is the exact command that installs them."""


class NotComparableError(LabError):
    """Two sides differ in something that was not asked about, so no verdict can be given."""

    exit_code = ExitCode.UNDECIDED


class FindingError(LabError):
    """The series itself failed before a run could start (it does not build, for example)."""

    exit_code = ExitCode.FINDING


class StageError(LabError):
    """A stage of a run failed. Inside an experiment this becomes a recorded outcome, never a crash."""

    exit_code = ExitCode.HOST


class CommandError(StageError):
    """A host command exited non-zero, was killed, or could not be started."""


class DeadlineError(StageError):
    """Something did not happen before its deadline."""


class BootError(StageError):
    """QEMU did not start, or the guest did not come up."""


class CrashError(StageError):
    """QEMU ended by itself while the guest ran: a signal, an assertion, an exit nobody asked for."""


class GuestError(StageError):
    """The guest was up and then stopped answering, or a command in it failed."""


class MonitorError(StageError):
    """A QMP command was refused, or the connection was lost."""


class RefusedError(MonitorError):
    """QEMU refused a QMP command; the message holds its own words."""


class DeviceError(StageError):
    """The device broke a rule of the specification, or sent what cannot be read; where a verdict is given, a fault."""


class WorkloadError(StageError):
    """fio failed in the guest, or its output holds no result."""
