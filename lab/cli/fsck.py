"""``lab fsck``: is every stored file of a results folder still what was written?"""

from __future__ import annotations

from pathlib import Path

import click

from lab.analysis.results import read_results
from lab.cli.output import print_json, print_text
from lab.cli.types import PATH
from lab.errors import ExitCode
from lab.experiment.evidence import faults_of
from lab.experiment.store import ResultsFolder


@click.command()
@click.argument("results", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def fsck(results: Path, as_json: bool) -> int:
    """Verify every stored file of a results folder; nothing is changed.

    The schedule and each record are checked as 'lab compare' checks them, each run's evidence against the SHA-256 sums
    that were written when it ended, and the metrics are computed once more from what fio printed.

    Exit codes: 0 all is as it was written, 1 a file was changed or is gone, 2 this is no results folder or its records
    cannot be read.

    \b
    Example: lab fsck results/virtio-scsi-iothreads
    """
    found = read_results(results)
    faults = tuple(faults_of(ResultsFolder(results)))
    if as_json:
        print_json(
            {
                "runs": len(found.records),
                "undone": found.undone,
                "warnings": list(found.warnings),
                "faults": [{"path": fault.path, "what": fault.what} for fault in faults],
            }
        )
    else:
        lines = [f"{fault.path}: {fault.what}" for fault in faults]
        lines += [f"warning: {warning}" for warning in found.warnings]
        undone = f", {found.undone} not done yet" if found.undone else ""
        lines.append(f"{len(found.records)} recorded runs{undone}, {len(faults) or 'no'} faults")
        print_text("\n".join(lines))
    return ExitCode.FINDING if faults else ExitCode.DONE
