"""The cells of a job and the two binaries to what a binary lacks for them, before the first boot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.build.build import Build
from lab.errors import HostError, InputError
from lab.experiment.job import LoadedJob
from lab.experiment.machines import machine_from_cell
from lab.machine.capabilities import Capabilities, differences
from lab.machine.capabilities_probe import capabilities_of
from lab.machine.command_line import GuestBoot, Wiring, argv_from_spec
from lab.machine.needs import host_refusals, missing_from
from lab.record import Arm, Cell

_NOWHERE = GuestBoot(Path("kernel"), Path("initrd"), "")
_MOST_SENTENCES = 5


def argv_of_cell(loaded: LoadedJob, cell: Cell, accelerator: str) -> tuple[str, ...]:
    """Return the words that say what a cell's machine is made of; its files and sockets are placeholders."""
    spec = machine_from_cell(loaded, cell, accelerator)
    return argv_from_spec(Path("qemu"), (), spec, _NOWHERE, Wiring.for_lab(3, Path("console")))


def require_capabilities(
    loaded: LoadedJob, cells: Sequence[Cell], builds: Mapping[Arm, Build], accelerator: str
) -> tuple[str, ...]:
    """Refuse a job that needs what one of its binaries lacks; return what there is to warn about.

    A binary that does not even answer is not refused here: that is what its runs will find and record.

    :raise InputError: a binary lacks something; the message names the arm, a cell and what is missing.
    :raise HostError: both have it, and this host refuses it.
    """
    known: dict[Arm, Capabilities] = {}
    warnings: list[str] = []
    for arm, build in builds.items():
        try:
            known[arm] = capabilities_of(build.qemu)
        except InputError as err:
            warnings.append(f"the {arm} could not be asked what it can do: {err.message.splitlines()[0]}")
    lacking: dict[tuple[Arm, str], list[str]] = {}
    refused: dict[str, None] = {}
    for cell in cells:
        if cell.arm not in known:
            continue
        argv = argv_of_cell(loaded, cell, accelerator)
        for what in missing_from(known[cell.arm], argv):
            lacking.setdefault((cell.arm, what), []).append(cell.id)
        refused |= dict.fromkeys(host_refusals(known[cell.arm], argv))
    if lacking:
        raise _refusal(loaded, lacking, {arm: f"{arm} (QEMU {found.version})" for arm, found in known.items()})
    if refused:
        raise HostError(
            f"{loaded.path}: this host refuses what the job asks QEMU for: {'; '.join(refused)}",
            remedy="change that in the job file, or use a host that allows it",
        )
    if len(known) == len(Arm):
        warnings += mapping_changes(known[Arm.BASELINE], known[Arm.CANDIDATE])
    return tuple(warnings)


def mapping_changes(baseline: Capabilities, candidate: Capabilities) -> tuple[str, ...]:
    """Return the differences that make one job file mean two machines: what a mapping counts."""
    if baseline.scsi_dialect is None or candidate.scsi_dialect is None:
        return ()
    return tuple(text for text in differences(baseline, candidate) if "what a mapping" in text)


def _refusal(loaded: LoadedJob, lacking: Mapping[tuple[Arm, str], list[str]], names: Mapping[Arm, str]) -> InputError:
    sentences = [
        f"the {names[arm]} has no {what}, which {cells[0]} needs"
        + (f" and {len(cells) - 1} other cells" if len(cells) > 1 else "")
        for (arm, what), cells in lacking.items()
    ]
    more = f"; and {len(sentences) - _MOST_SENTENCES} more" if len(sentences) > _MOST_SENTENCES else ""
    arms = {arm for arm, _ in lacking}
    if len(arms) == 1:
        other = "candidate" if arms == {Arm.BASELINE} else "baseline"
        remedy = f"the {other} has it: both arms must, to be compared. Leave it out of the job, or choose another base"
    else:
        remedy = "leave it out of the job, or build another QEMU; 'lab capabilities' shows what a binary has"
    return InputError(f"{loaded.path}: {'; '.join(sentences[:_MOST_SENTENCES])}{more}", remedy=remedy)
