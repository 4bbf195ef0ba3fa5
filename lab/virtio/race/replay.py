"""A stored schedule to counts: performed so often, how often it goes wrong. Needs the standard library only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.errors import LabError
from lab.virtio.race.attempt import RaceResult, attempt
from lab.virtio.race.schedule import Schedule, schedule_from_text


def replay(qemu: Path, schedule: Schedule, times: int, *, evidence: Path | None) -> tuple[RaceResult, ...]:
    """Perform a schedule several times.

    :param evidence: folder that gets a folder for each performance in which something is wrong.
    :raise LabError: QEMU does not start.
    """
    return tuple(
        attempt(qemu, schedule, evidence=evidence / f"{number:03}" if evidence else None, backtrace=True)
        for number in range(1, times + 1)
    )


def main(schedule_text: str, words: Sequence[str] | None = None) -> int:
    """Run a script of lab.virtio.race.script.

    :return: 1 where a performance went wrong, 0 where none did, 2 for wrong input, 3 where QEMU does not start.
    """
    parser = argparse.ArgumentParser(description="Perform a race on a QEMU without a guest, and say what went wrong.")
    parser.add_argument("qemu", type=Path, help="a qemu-system-x86_64 with virtio-scsi-pci")
    parser.add_argument("--times", type=int, default=20, help="how often (default: 20)")
    parser.add_argument("--evidence", type=Path, help="folder for logs of what went wrong")
    options = parser.parse_args(words)
    wrong = 0
    try:
        schedule = schedule_from_text(schedule_text)
        for number, result in enumerate(
            replay(options.qemu.absolute(), schedule, options.times, evidence=options.evidence), 1
        ):
            if number == 1:
                sys.stdout.write(f"{result.command_line}\n\n")
            faults = [f"{fault.kind}: {fault.text}" for fault in result.judgement.faults]
            text = "; ".join(faults) or result.judgement.undecided or "nothing wrong"
            sys.stdout.write(f"{number}: {text}\n")
            wrong += bool(faults)
    except LabError as err:
        sys.stderr.write(f"error: {err.message}\n")
        return int(err.exit_code)
    sys.stdout.write(f"\nwrong in {wrong} of {options.times}\n")
    return 1 if wrong else 0
