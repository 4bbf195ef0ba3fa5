"""Two builds and a job to the same builds with what there is to warn about, or to why the job cannot run on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lab.build.arms import Arms
from lab.experiment.capabilities import require_capabilities
from lab.experiment.job import LoadedJob
from lab.experiment.scope import warning_of_scope
from lab.progress import Progress
from lab.record import Arm, Cell
from lab.series.scope import scope_from_files


def checked_arms(loaded: LoadedJob, cells: Sequence[Cell], arms: Arms, accelerator: str, progress: Progress) -> Arms:
    """Return the arms with their warnings, which are stored with the results and shown in every report.

    :param cells: those that will be booted.
    :raise InputError: a binary lacks what a cell needs.
    :raise HostError: this host refuses what a cell needs.
    """
    builds = {Arm.BASELINE: arms.baseline, Arm.CANDIDATE: arms.candidate}
    found = list(require_capabilities(loaded, cells, builds, accelerator))
    if arms.series is not None:
        unseen = warning_of_scope(loaded, scope_from_files(arms.series.files))
        found += [unseen] if unseen else []
    for warning in found:
        progress.say(f"warning: {warning}")
    return replace(arms, warnings=(*arms.warnings, *found))
