"""``lab cost``: exact instructions per command for one binary, or what a second one or a series changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from lab.cli.binaries import asked_binaries, binary_options, common_mappings
from lab.cli.output import print_json, print_text, progress_for
from lab.cli.places import require_place
from lab.cli.types import PATH
from lab.errors import ExitCode
from lab.host.packages import require_packages
from lab.host.requirements import VALGRIND
from lab.report.captions import plain_caption
from lab.report.charts import MOST_FUNCTIONS, FunctionBar, functions_chart
from lab.virtio.cost.compare import SMALLEST_EFFECT, Change, compare, gravest
from lab.virtio.cost.matrix import DEFAULT_MAPPINGS, Subject, count_costs
from lab.virtio.cost.measure import CaseCost
from lab.virtio.cost.operation import NAMES, OPERATIONS
from lab.virtio.cost.show import change_to_json, cost_table, costliest_functions, difference_table, document
from lab.virtio.tmf.controller import NAMES as MAPPINGS

_EXIT_CODES = {
    Change.DEARER: ExitCode.FINDING,
    Change.UNDECIDED: ExitCode.UNDECIDED,
    Change.CHEAPER: ExitCode.DONE,
    Change.ALIKE: ExitCode.DONE,
}


@click.command("cost")
@binary_options
@click.option(
    "--command",
    "commands",
    type=click.Choice(NAMES, case_sensitive=False),
    multiple=True,
    help="Only this command or function; repeatable. [all]",
)
@click.option(
    "--mapping",
    "mappings",
    type=click.Choice(MAPPINGS),
    multiple=True,
    help="Only this mapping; repeatable. [none, iothread, 1, 2]",
)
@click.option(
    "--smallest-effect",
    type=click.FloatRange(0, 100),
    default=100 * SMALLEST_EFFECT,
    show_default=True,
    metavar="PERCENT",
    help="A cost that grows by no more is no finding.",
)
@click.option("--chart", type=PATH, metavar="FILE.png", help="Draw the functions; FILE.svg is put beside it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with all functions.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def cost(
    commands: tuple[str, ...],
    mappings: tuple[str, ...],
    smallest_effect: float,
    chart: Path | None,
    as_json: bool,
    quiet: bool,
    **named: Any,
) -> int:
    """Count the instructions that QEMU spends on a command, per kind of command, TMF and IOThread mapping.

    Counted by valgrind, so the same on a busy or noisy host: without KVM and hardware counters, a change of 1 % shows
    in a minute, and in which functions. The lab drives the controller itself, with many commands in flight over a
    disk that answers at once; the guest's part and time are not in the number.

    With a candidate or a series the exit code is 1 where a cost grew by more than the smallest effect, 4 where one case
    could not be decided, or none was judged.

    \b
    Example: lab cost --tree ~/src/qemu --base v10.0.0 --series my.mbox --mapping none --mapping 2
    """
    require_place(chart, ".png")
    require_packages(wanted=(VALGRIND,))
    progress = progress_for(quiet=quiet)
    binaries = asked_binaries(named, progress=progress)
    operations = tuple(one for one in OPERATIONS if not commands or one.name in commands)
    subjects = [
        Subject(arm, path, common_mappings({arm: path}, mappings, DEFAULT_MAPPINGS)) for arm, path in binaries.items()
    ]
    costs = count_costs(subjects, operations, progress=progress)
    if chart is not None:
        _draw(chart, binaries, costs)
    documents = {arm: document(path, costs[arm]) for arm, path in binaries.items()}
    if "candidate" not in costs:
        if as_json:
            print_json(documents["baseline"])
        else:
            print_text(cost_table(binaries["baseline"], costs["baseline"]))
        return int(ExitCode.UNDECIDED if any(case.trouble for case in costs["baseline"]) else ExitCode.DONE)
    effect = smallest_effect / 100
    changes = compare(costs["baseline"], costs["candidate"], smallest_effect=effect)
    if as_json:
        print_json({**documents, "changes": [change_to_json(change) for change in changes]})
    else:
        print_text(difference_table(changes, smallest_effect=effect))
    return int(_EXIT_CODES[gravest(changes)])


def _draw(chart: Path, binaries: Mapping[str, Path], costs: Mapping[str, Sequence[CaseCost]]) -> None:
    """Draw the costliest functions, the mean over all cases."""
    baseline, candidate = (costliest_functions(costs.get(arm, ())) for arm in ("baseline", "candidate"))
    names = sorted({*baseline, *candidate}, key=lambda name: -max(baseline.get(name, 0.0), candidate.get(name, 0.0)))
    bars = [
        FunctionBar(name, baseline.get(name, 0.0), candidate.get(name, 0.0) if "candidate" in costs else None)
        for name in names[:MOST_FUNCTIONS]
    ]
    cases = costs["baseline"]
    what = ", ".join(dict.fromkeys(case.operation for case in cases))
    notes = (
        f"Mean over {len(cases)} cases ({what}; mappings {', '.join(dict.fromkeys(case.mapping for case in cases))}).",
        "Each function without those it calls, counted by callgrind.",
        *(f"{arm}: {path}" for arm, path in binaries.items()),
    )
    caption = plain_caption("Where QEMU spends the instructions of a command", notes, "lab cost", ", ".join(names[:3]))
    functions_chart(chart, bars, caption)
