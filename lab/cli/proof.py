"""``lab proof``: which thread serves which queue of a cell, asked, stored and observed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lab.cli.cells import DEFAULT_JOB, cell_options
from lab.cli.output import print_json, print_text, progress_for
from lab.cli.types import PATH
from lab.errors import ExitCode
from lab.experiment.arms import ArmsRequest
from lab.experiment.by_hand import evidence_folder
from lab.experiment.one_cell import one_cell
from lab.experiment.proof import prove_machine, text_from_proof
from lab.machine.observe import ProofVerdict
from lab.settings import project_dir

_EXIT_CODES = {
    ProofVerdict.PROVED: ExitCode.DONE,
    ProofVerdict.REFUTED: ExitCode.FINDING,
    ProofVerdict.UNDECIDED: ExitCode.UNDECIDED,
}


@click.command("proof")
@click.argument("job", type=PATH, default=lambda: project_dir() / DEFAULT_JOB)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@cell_options
def proof_command(
    job: Path, cell_id: str | None, accelerator: str | None, as_json: bool, quiet: bool, **arms: Any
) -> int:
    """Boot a cell, load its queues one by one, and show which thread serves each.

    Exit code 0: each queue is served by the thread that was asked for. 1: one is not. 4: what was seen leaves doubt.

    \b
    Example: lab proof jobs/virtio-scsi-iothreads.toml --cell candidate.iothreads=2
    """
    progress = progress_for(quiet=quiet)
    cell = one_cell(job, cell_id, ArmsRequest(**arms), accelerator=accelerator, progress=progress)
    with evidence_folder("proof") as folder, progress.stage(f"proving {cell.cell.id}"):
        proof = prove_machine(cell.build, cell.image, cell.spec, folder)
    if as_json:
        print_json({"cell": cell.cell.id, **proof.to_json()})
    else:
        print_text(text_from_proof(proof))
    return int(_EXIT_CODES[proof.verdict])
