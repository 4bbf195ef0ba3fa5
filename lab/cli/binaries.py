"""The options that name what is asked, to binaries by arm: one that is there, two, or what is built of a series.

And back: what came of each arm, to what is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from lab.cli.cells import arms_options
from lab.cli.output import print_json, print_text
from lab.cli.types import PATH
from lab.errors import BootError, FindingError, InputError
from lab.experiment.arms import ArmsRequest, arms_from_request, base_from_request
from lab.progress import Progress
from lab.virtio.binary import require_qemu
from lab.virtio.change import Change, text_from_changes
from lab.virtio.tmf.controller import NAMES, mappings_of

BASELINE, CANDIDATE = "baseline", "candidate"

F = TypeVar("F", bound=Callable[..., Any])


def binary_options(command: F) -> F:
    """Add the options that name binaries, or what they are built of; the verb hands them to :func:`asked_binaries`."""
    command = arms_options(command)
    command = click.option("--candidate", type=PATH, metavar="BINARY", help="A second QEMU: also say what it changes.")(
        command
    )
    return click.option(
        "--qemu", type=PATH, metavar="BINARY", help="A qemu-system-x86_64 to ask, in place of one that is built."
    )(command)


def common_mappings(
    binaries: Mapping[str, Path], asked: Sequence[str], usual: Sequence[str] = NAMES
) -> tuple[str, ...]:
    """Return the mappings to ask with: those that were named, or of the usual ones those that every binary takes.

    :raise InputError: one that was named is not taken.
    """
    taken = {qemu: mappings_of(qemu) for qemu in binaries.values()}
    for qemu, names in taken.items():
        refused = next((name for name in asked if name not in names), None)
        if refused is not None:
            raise InputError(f"{qemu} does not take --mapping {refused}", remedy=f"it takes {', '.join(names)}")
    return tuple(name for name in NAMES if name in (asked or usual) and all(name in one for one in taken.values()))


def place_of_arm(folder: Path, arm: str, binaries: Mapping[str, Path]) -> Path:
    """Return where the evidence of an arm goes: a folder of its own where there are two."""
    return folder / arm if len(binaries) > 1 else folder


@contextmanager
def on_account_of(arm: str) -> Iterator[None]:
    """Ask the binary of an arm. The baseline is asked first, so that a candidate that does not start is a finding.

    :raise FindingError: it is the candidate that does not start.
    :raise BootError: it is the baseline.
    """
    try:
        yield
    except BootError as err:
        if arm != CANDIDATE:
            raise
        raise FindingError(
            f"the candidate does not start where the baseline does: {err.message}", evidence=err.evidence
        ) from err


def document_of_arms(documents: Mapping[str, Any], changes: Sequence[Change] | None) -> dict[str, Any]:
    """Return what is printed with ``--json``: the document of the only binary, or both and what the second changes.

    :param changes: None where there is one binary.
    """
    if changes is None:
        return dict(documents[BASELINE])
    return {**documents, "changes": [change.to_json() for change in changes]}


def print_arms(
    documents: Mapping[str, Any], texts: Sequence[str], changes: Sequence[Change] | None, *, none: str, as_json: bool
) -> None:
    """Print what came of one binary or two, and below it what the second one changes.

    :param none: what the candidate does where it changes nothing.
    """
    if as_json:
        print_json(document_of_arms(documents, changes))
    else:
        print_text("\n\n".join([*texts, *([] if changes is None else [text_from_changes(changes, none=none)])]))


def asked_binaries(options: Mapping[str, Any], *, progress: Progress) -> dict[str, Path]:
    """Return what the options of :func:`binary_options` name: a baseline, and a candidate where there is one.

    Without a binary and without a series the base is built, and is the baseline.

    :raise InputError: the options contradict each other, or a binary, the tree, the base or the series is wrong.
    :raise FindingError: the base builds, but the series does not, or what it builds does not start.
    :raise CommandError: the base does not build.
    :raise HostError: this host cannot fetch or build QEMU.
    :raise NotComparableError: the two builds differ in more than their source.
    """
    builds = dict(options)
    named = {BASELINE: builds.pop("qemu"), CANDIDATE: builds.pop("candidate")}
    request = ArmsRequest(**builds)
    if named[CANDIDATE] is not None and named[BASELINE] is None:
        raise InputError("--candidate needs a baseline", remedy="add --qemu BINARY")
    if named[BASELINE] is not None:
        if request != ArmsRequest():
            raise InputError(
                "--qemu names a binary, --tree, --base, --series and --range name what is built",
                remedy="leave one or the other out",
            )
        return {arm: require_qemu(path) for arm, path in named.items() if path is not None}
    if not request.names_a_series:
        return {BASELINE: base_from_request(request, progress=progress).baseline.qemu}
    built = arms_from_request(request, progress=progress)
    mappings_of(built.baseline.qemu)
    try:
        mappings_of(built.candidate.qemu)  # the first question that each verb has
    except InputError as err:
        raise FindingError(f"the series builds a QEMU that does not start: {err.message}") from err
    return {BASELINE: built.baseline.qemu, CANDIDATE: built.candidate.qemu}
