"""Which dialect of the mapping a binary speaks: the question as an argv, and what its answer means.

The question is a virtio-scsi device with one command virtqueue and a mapping of index 0 only. Where 0 is the first
command virtqueue, that is complete and QEMU starts; where 0 is ctrl, virtqueue 1 is missing. No guest is started.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from lab.command import run
from lab.errors import BootError
from lab.machine.mapping import Device, Dialect, IOThreadMapping
from lab.machine.mapping_render import argv_from_mapping
from lab.machine.mapping_rules import MappedDevice

PROBE_STDIN = (json.dumps({"execute": "qmp_capabilities"}) + json.dumps({"execute": "quit"})).encode()
"""What the process is to read: a QEMU that started ends at once."""

_MISSING = "missing vq 1 IOThread assignment in iothread-vq-mapping"
_NO_PROPERTY = "iothread-vq-mapping' not found"
_ANSWER_S = 20.0


def dialect_of(qemu: Path, firmware: Sequence[Path]) -> Dialect | None:
    """Ask a binary which dialect it speaks; None for one whose virtio-scsi has no mapping.

    :raise BootError: the binary does not start.
    :raise CommandError: there is no such binary.
    :raise DeadlineError: it does not end in time.
    """
    answer = run(probe_argv(qemu, firmware), stdin=PROBE_STDIN, timeout_s=_ANSWER_S, check=False)
    return dialect_from_answer(answer.returncode, answer.stderr)


def probe_argv(qemu: Path, firmware: Sequence[Path]) -> tuple[str, ...]:
    """Return the command that asks a binary; it ends by itself when fed :data:`PROBE_STDIN`.

    :param firmware: folders for ``-L``. Without the qtest accelerator (a distribution's binary has none) QEMU goes
        on to TCG, which does not start without firmware.
    """
    folders = [word for folder in firmware for word in ("-L", str(folder))]
    machine = ["-accel", "qtest", "-accel", "tcg", "-S", "-machine", "q35", "-nodefaults", "-no-user-config"]
    monitor = ["-display", "none", "-qmp", "stdio"]
    question = argv_from_mapping(
        IOThreadMapping.explicit({"t0": (0,)}), MappedDevice(Device.VIRTIO_SCSI, 1), "scsi0", drive=""
    )
    return (str(qemu), *folders, *machine, *monitor, *question)


def dialect_from_answer(exit_code: int, output: str) -> Dialect | None:
    """Return the dialect, or None for a binary whose virtio-scsi has no mapping (QEMU before 10.0).

    :param output: what the process wrote to stderr.
    :raise BootError: it failed for another reason.
    """
    if exit_code == 0:
        return Dialect.MERGED
    if _MISSING in output:
        return Dialect.ALL_QUEUES
    if _NO_PROPERTY in output:
        return None
    raise BootError(
        f"asked which IOThread mapping it takes, QEMU ended with exit status {exit_code}: {output.strip()}",
        remedy="check that the binary starts at all: --version, then its firmware folders",
    )
