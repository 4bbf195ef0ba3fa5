"""Before the runs to after them: how the host is set, tuned where that was asked for, put back in any case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from lab.errors import HostError
from lab.host.cpu_plan import CpuPlan
from lab.host.tuning import propose, refuse_twice
from lab.host.tuning_controls import HostControls
from lab.host.tuning_journal import JournalFile
from lab.host.tuning_knobs import irq_entries
from lab.host.tuning_session import Settings, put_back_leftovers, read_settings, require_root, tuned
from lab.progress import Progress


def check_tuning(*, tune: bool, progress: Progress, root: Path = Path("/")) -> None:
    """Put back what a killed run left, and find out before the builds whether the host may be tuned.

    :param tune: it is to be tuned for the runs. Without, a host that cannot be put back is said and lived with.
    :raise HostError: it is to be tuned, but this is not root, or it was tuned and not restored.
    """
    file = JournalFile(root)
    try:
        done = put_back_leftovers(HostControls(root), file)
    except HostError as err:
        if tune:
            raise
        progress.say(f"warning: {err.message}")
    else:
        if done:
            knobs = ", ".join(sorted({one.entry.knob for one in done}))
            progress.say(f"a run that was killed had left the host tuned; what was put back: {knobs}")
    if tune:
        require_root("tune the host")
        refuse_twice(file)


@contextmanager
def host_settings(plan: CpuPlan, *, tune: bool, progress: Progress, root: Path = Path("/")) -> Iterator[Settings]:
    """Tune the host while the block is under way, if that was asked for, and give how it is set.

    The interrupts of the block device that is measured go to the CPUs that the plan leaves free.

    :raise HostError: a setting could not be changed or put back.
    """
    controls, file = HostControls(root), JournalFile(root)
    if not tune:
        settings = read_settings(controls, file)
        progress.say(settings.sentence())
        yield settings
        return
    entries = propose(controls).entries
    if plan.device is not None and plan.device.irqs and plan.irq_cpus:
        entries = (*irq_entries(controls, plan.device.irqs, plan.irq_cpus), *entries)
    with tuned(controls, file, entries, at=datetime.now(UTC).isoformat(timespec="seconds")) as refused:
        settings = read_settings(controls, file, refused)
        progress.say(f"{settings.sentence()}; put back after the last run")
        yield settings
