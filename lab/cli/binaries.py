"""The options that name what is asked, to binaries by arm: one that is there, two, or what is built of a series.

And back: what came of each arm, to what is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from lab.cli.cells import arms_options
from lab.cli.output import print_json, print_text
from lab.cli.types import PATH
from lab.errors import InputError
from lab.experiment.arms import ArmsRequest, arms_from_request, base_from_request
from lab.progress import Progress
from lab.virtio.binary import require_qemu
from lab.virtio.change import Change, text_from_changes

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


def place_of_arm(folder: Path, arm: str, binaries: Mapping[str, Path]) -> Path:
    """Return where the evidence of an arm goes: a folder of its own where there are two."""
    return folder / arm if len(binaries) > 1 else folder


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
    :raise FindingError: the base builds, but the series does not.
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
    return {BASELINE: built.baseline.qemu, CANDIDATE: built.candidate.qemu}
