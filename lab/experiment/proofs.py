"""The cells of an experiment to a proof of each distinct machine, kept in the results folder, made before any run.

A refuted mapping voids the runs of its cells without booting them: hours of numbers of another machine help nobody.
What could not be proved, because the guest did not boot or the observation leaves doubt, is measured with a warning.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from lab.errors import StageError
from lab.experiment.machines import machine_from_cell
from lab.experiment.proof import Proof, prove_machine, text_from_proof
from lab.experiment.realise import Bench
from lab.experiment.runner import Realise, nothing_worked
from lab.experiment.store import ResultsFolder
from lab.files import write_atomically
from lab.machine.observe import ProofVerdict
from lab.machine.spec import MachineSpec
from lab.progress import Progress
from lab.record import Arm, Cell, Outcome, RunRecord, ScheduledRun

PROOFS = "proofs"
PROOF = "proof.json"


@dataclass(frozen=True)
class Proofs:
    """What the proofs mean for the runs, by the id of the cell; nothing for a cell whose mapping is proved.

    :param refuted: why its runs do not count.
    :param doubts: what a reader of its numbers must know.
    """

    refuted: Mapping[str, str] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)

    def guarding(self, realise: Realise, bench: Bench) -> Realise:
        """Return ``realise`` for cells whose mapping is not refuted, and a void record for the others."""

        def guarded(run: ScheduledRun, attempt: int, evidence: Path) -> RunRecord:
            refutation = self.refuted.get(run.cell.id)
            if refutation is None:
                record = realise(run, attempt, evidence)
                doubt = self.doubts.get(run.cell.id)
                return record if doubt is None else replace(record, warnings=(*record.warnings, doubt))
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            reason = f"not booted, because its mapping was refuted before: {refutation}"
            return RunRecord(run, attempt, Outcome.VOID, now, 0.0, bench.host, bench.accelerator, reason=reason)

        return guarded


def prove_cells(bench: Bench, cells: Sequence[Cell], folder: ResultsFolder, progress: Progress) -> Proofs:
    """Prove the mapping of each machine that the cells need, but for those the folder has a proof of.

    Cells that differ in the workload only have one machine and one proof, in ``proofs/<first cell>/``. A refutation is
    looked into again where no run has worked: else nothing could ever come of the folder.
    """
    again = nothing_worked(folder.records())
    machines: dict[tuple[Arm, MachineSpec], list[Cell]] = {}
    for cell in cells:
        spec = machine_from_cell(bench.loaded, cell, bench.accelerator)
        machines.setdefault((cell.arm, spec), []).append(cell)
    refuted: dict[str, str] = {}
    doubts: dict[str, str] = {}
    with progress.stage(f"proving the mapping of {len(machines)} machines", len(machines)) as stage:
        for number, ((arm, spec), same) in enumerate(machines.items()):
            stage.update(number, len(machines), same[0].id)
            ids = [cell.id for cell in same]
            where = folder.path / PROOFS / ids[0]
            try:
                kept = _kept(where / PROOF, ids)
                if kept is None or (again and kept[0] is ProofVerdict.REFUTED):
                    kept = _made(bench, arm, spec, where, ids, progress)
                verdict, objections = kept
            except StageError as err:
                verdict, objections = ProofVerdict.UNDECIDED, (err.message.splitlines()[0],)
            if verdict is ProofVerdict.REFUTED:
                refuted |= dict.fromkeys(ids, objections[0])
            elif verdict is ProofVerdict.UNDECIDED:
                why = objections[0] if objections else "what was observed leaves doubt"
                doubts |= dict.fromkeys(ids, f"the mapping was not proved: {why}")
            for line in objections:
                progress.say(f"{ids[0]}: the mapping is {verdict}: {line}")
    return Proofs(refuted, doubts)


def proof_json(proof: Proof, cells: Sequence[str]) -> str:
    """Return the text of proof.json.

    :param cells: ids of the cells that it stands for.
    """
    return json.dumps({**proof.to_json(), "cells": list(cells)}, indent=2) + "\n"


def _made(
    bench: Bench, arm: Arm, spec: MachineSpec, where: Path, ids: Sequence[str], progress: Progress
) -> tuple[ProofVerdict, tuple[str, ...]]:
    """Prove a machine now, and keep the proof."""
    if where.exists():
        shutil.rmtree(where)  # of a proof that was interrupted
    where.mkdir(parents=True)
    proof = prove_machine(bench.builds[arm], bench.image, spec, where)
    write_atomically(where / PROOF, proof_json(proof, ids))
    if proof.verdict is not ProofVerdict.PROVED:
        for line in text_from_proof(proof).splitlines():
            progress.say(line)
    return proof.verdict, proof.objections


def _kept(path: Path, ids: Sequence[str]) -> tuple[ProofVerdict, tuple[str, ...]] | None:
    """Return verdict and objections of a proof of exactly these cells; None where there is none that can be read."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["cells"] != list(ids):
            return None
        verdict, objections = ProofVerdict(stored["verdict"]), tuple(str(line) for line in stored["objections"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return None if verdict is ProofVerdict.REFUTED and not objections else (verdict, objections)
