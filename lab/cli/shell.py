"""``lab shell``: a cell of a job, booted, with a shell in its guest."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from lab.cli.cells import DEFAULT_JOB, cell_options
from lab.cli.output import progress_for
from lab.cli.types import PATH, TEXT
from lab.errors import ExitCode
from lab.experiment.arms import ArmsRequest
from lab.experiment.by_hand import booted_by_hand, evidence_folder, talk
from lab.experiment.one_cell import one_cell
from lab.machine.terminal import Ends
from lab.settings import project_dir


@click.command("shell", context_settings={"ignore_unknown_options": False})
@click.argument("job", type=PATH, default=lambda: project_dir() / DEFAULT_JOB)
@click.argument("command", nargs=-1, type=TEXT)
@cell_options
def shell_command(
    job: Path, command: tuple[str, ...], cell_id: str | None, accelerator: str | None, quiet: bool, **arms: Any
) -> int:
    """Boot a cell and give a shell in its guest, or run COMMAND there and end with its exit status.

    The path of a QMP socket is said on stderr. The guest is gone when the shell ends, and everything with it. Words
    after -- are put together by quoting each, so that the guest gets them as they were typed.

    \b
    Examples: lab shell jobs/virtio-scsi-iothreads.toml --cell candidate.iothreads=4
              lab shell jobs/virtio-scsi-iothreads.toml -- cat /proc/interrupts
    """
    progress = progress_for(quiet=quiet)
    cell = one_cell(job, cell_id, ArmsRequest(**arms), accelerator=accelerator, progress=progress)
    with evidence_folder("shell") as folder, ExitStack() as until_the_end:
        with progress.stage(f"booting {cell.cell.id}"):
            by_hand = until_the_end.enter_context(booted_by_hand(cell, folder))
        progress.say(f"{cell.cell.id} is up; QMP: {by_hand.qmp}")
        status = talk(by_hand.guest, shlex.join(command) if command else None, Ends())
        if status is None:
            progress.say("the guest was shut down")
    return int(ExitCode.DONE) if status is None else status
