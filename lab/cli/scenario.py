"""``lab scenario``: hotplug, drains, resets, pauses and migration under verified load, on one binary or both arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from lab.cli.binaries import BASELINE, CANDIDATE, asked_binaries, binary_options
from lab.cli.output import print_json, print_text, progress_for
from lab.cli.places import evidence_folder, evidence_option
from lab.cli.types import TEXT
from lab.errors import ExitCode
from lab.host.accelerator import probe_accelerator
from lab.host.packages import require_packages
from lab.image.build import build_image
from lab.image.recipe import load_recipe
from lab.machine.mapping import Device
from lab.progress import Progress, headline
from lab.scenario.catalogue import SCENARIOS, Scenario, scenarios_from_names
from lab.scenario.compare import changes
from lab.scenario.perform import Ground, ScenarioResult, perform
from lab.settings import project_dir
from lab.units import text_from_seconds
from lab.virtio.change import Change, text_from_changes
from lab.virtio.verdict import Verdict

_EXPECTED_S = 12.0
_ROW = "{:<16} {:<10} {:>5} {:>6} {:>10} {:>10}"
_HEADER = ("scenario", "verdict", "times", "depth", "standstill", "back after")
_DEVICES = {"virtio-scsi": Device.VIRTIO_SCSI, "virtio-blk": Device.VIRTIO_BLK}


@click.command("scenario")
@click.argument("names", nargs=-1, type=TEXT, metavar="[NAME]...")
@click.option("--list", "list_", is_flag=True, help="Show the scenarios and what each does.")
@click.option("--device", type=click.Choice(list(_DEVICES)), default="virtio-scsi", help="Of the disk that is loaded.")
@click.option("--times", type=click.IntRange(1, 1000), default=1, show_default=True, help="How often, in one guest.")
@click.option("--accelerator", type=click.Choice(["kvm", "tcg"]), help="Insist on one. [what works]")
@evidence_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, the traces included.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@binary_options
def scenario_command(
    names: tuple[str, ...],
    list_: bool,
    device: str,
    times: int,
    accelerator: str | None,
    evidence: Path | None,
    as_json: bool,
    quiet: bool,
    **named: Any,
) -> int:
    """Disturb a guest while fio writes and verifies: hotplug, drains, resets, pauses, migration. All without a NAME.

    With a series or a candidate both arms are tested, and what changes is said; else one binary is. Each scenario gets
    a fresh guest.

    \b
    Exit codes, of the candidate where there is one: 0 all passed, 1 one failed, 4 one could not be decided.

    \b
    Example: lab scenario mirror lun-reset --tree ~/src/qemu --base v10.0.0 --series my.mbox --times 5
    """
    if list_:
        _print_list(as_json)
        return ExitCode.DONE
    chosen = scenarios_from_names(names, _DEVICES[device])
    require_packages()
    folder = evidence_folder(evidence, "scenario")
    progress = progress_for(quiet=quiet)
    binaries = asked_binaries(named, progress=progress)
    image = build_image(load_recipe(project_dir() / "guest-images" / "default.toml"), progress=progress)
    if accelerator is None:
        baseline = binaries[BASELINE]
        accelerator = probe_accelerator(baseline, _firmware(baseline), image, progress=progress).accelerator
    results = {}
    for arm, qemu in binaries.items():
        ground = Ground(qemu, _firmware(qemu), image, accelerator, _DEVICES[device])
        results[arm] = _perform_all(arm, ground, chosen, times, folder / arm, progress)
    said = changes(results[BASELINE], results[CANDIDATE]) if CANDIDATE in results else ()
    if as_json:
        arms_json = {arm: [result.to_json() for result in found] for arm, found in results.items()}
        asked = {arm: str(qemu) for arm, qemu in binaries.items()}
        shown = [change.to_json() for change in said]
        print_json({"accelerator": accelerator, "device": device, "binaries": asked, **arms_json, "changes": shown})
    else:
        print_text(_text(results, said, accelerator))
    last = results.get(CANDIDATE, results[BASELINE])
    return Verdict.of_all(result.verdict for result in last).exit_code


def _firmware(qemu: Path) -> tuple[Path, ...]:
    """Return the folders for ``-L``: a build of the lab has its firmware beside it, any other binary finds its own."""
    folder = qemu.parent / "firmware"
    return (folder,) if folder.is_dir() else ()


def _perform_all(
    arm: str, ground: Ground, scenarios: Sequence[Scenario], times: int, folder: Path, progress: Progress
) -> tuple[ScenarioResult, ...]:
    results: list[ScenarioResult] = []
    with progress.stage(f"scenarios on the {arm}", len(scenarios)) as stage:
        for number, scenario in enumerate(scenarios):
            spent = sum(result.seconds for result in results)
            mean_s = spent / len(results) if results else _EXPECTED_S
            stage.update(number, len(scenarios), scenario.name, mean_s * (len(scenarios) - number))
            evidence = folder / scenario.name
            evidence.mkdir(parents=True)
            result = perform(scenario, ground, times=times, evidence=evidence)
            results.append(result)
            progress.say(
                f"{arm}: {scenario.name} {result.verdict.value} in {text_from_seconds(result.seconds)}"
                + (f": {headline(result.reason)}" if result.reason else "")
            )
    return tuple(results)


def _print_list(as_json: bool) -> None:
    if as_json:
        rows = [
            {"name": one.name, "summary": one.summary, "devices": [device.value for device in one.devices]}
            for one in SCENARIOS.values()
        ]
        print_json({"scenarios": rows})
        return
    width = max(map(len, SCENARIOS))
    print_text("\n".join(f"{one.name:{width}}  {one.summary}" for one in SCENARIOS.values()))


def _text(results: Mapping[str, Sequence[ScenarioResult]], said: Sequence[Change], accelerator: str) -> str:
    lines: list[str] = []
    for arm, found in results.items():
        lines += [f"{arm} ({accelerator})", _ROW.format(*_HEADER)]
        for result in found:
            lines.append(_ROW.format(result.name, result.verdict.value, result.times, *_gap_texts(result)))
            if result.reason:
                lines += [f"    {result.reason}", f"    evidence: {result.evidence}"]
            lines += [f"    note: {warning}" for warning in result.warnings]
        lines.append("")
    if CANDIDATE in results:
        lines.append(text_from_changes(said, none="changes no verdict"))
    return "\n".join(lines).rstrip("\n")


def _gap_texts(result: ScenarioResult) -> tuple[str, str, str]:
    """Return the worst depth, standstill and way back over the disturbances of a scenario."""
    if not result.gaps:
        return "-", "-", "-"
    depth = max(gap.depth for gap in result.gaps)
    standstill_s = max(gap.standstill_s for gap in result.gaps)
    back_s = [gap.recovery_s for gap in result.gaps if gap.recovery_s is not None]
    after = f"{max(back_s):.2f} s" if len(back_s) == len(result.gaps) else "not seen"
    return f"{100 * depth:.0f} %", f"{standstill_s:.2f} s", after
