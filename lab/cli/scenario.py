"""``lab scenario``: hotplug, drains, resets, pauses and migration under verified load, on the base or both arms."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from lab.build.arms import Arms
from lab.cli.cells import arms_options
from lab.cli.output import print_json, print_text, progress_for
from lab.cli.types import PATH, TEXT
from lab.errors import ExitCode, InputError
from lab.experiment.arms import ArmsRequest, arms_from_request, base_from_request
from lab.host.accelerator import probe_accelerator
from lab.host.packages import require_packages
from lab.image.build import build_image
from lab.image.guest_image import GuestImage
from lab.image.recipe import load_recipe
from lab.machine.mapping import Device
from lab.progress import Progress
from lab.scenario.catalogue import SCENARIOS, Scenario, scenarios_from_names
from lab.scenario.compare import changes, verdict_of
from lab.scenario.perform import Ground, ScenarioResult, perform
from lab.scenario.verdict import Verdict
from lab.settings import cache_dir, project_dir
from lab.units import text_from_seconds

_EXPECTED_S = 12.0
_EXIT_CODES = {
    Verdict.PASSED: ExitCode.DONE,
    Verdict.FAILED: ExitCode.FINDING,
    Verdict.UNDECIDED: ExitCode.UNDECIDED,
}
_DEVICES = {"virtio-scsi": Device.VIRTIO_SCSI, "virtio-blk": Device.VIRTIO_BLK}


@click.command("scenario")
@click.argument("names", nargs=-1, type=TEXT, metavar="[NAME]...")
@click.option("--list", "list_", is_flag=True, help="Show the scenarios and what each does.")
@click.option("--device", type=click.Choice(list(_DEVICES)), default="virtio-scsi", help="Of the disk that is loaded.")
@click.option("--times", type=click.IntRange(1, 1000), default=1, show_default=True, help="How often, in one guest.")
@click.option("--accelerator", type=click.Choice(["kvm", "tcg"]), help="Insist on one. [what works]")
@click.option("--evidence", type=PATH, help="Folder for logs and traces. [in the lab's cache]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, the traces included.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@arms_options
def scenario_command(
    names: tuple[str, ...],
    list_: bool,
    device: str,
    times: int,
    accelerator: str | None,
    evidence: Path | None,
    as_json: bool,
    quiet: bool,
    **arms: Any,
) -> int:
    """Disturb a guest while fio verifies every byte: hotplug, drains, resets, pauses, migration. All without a NAME.

    With a series both arms are tested, and what the series changes is said; without one the base is. Each scenario gets
    a fresh guest.

    \b
    Exit codes: 0 all passed, 1 one failed, 4 one could not be decided.

    \b
    Example: lab scenario mirror lun-reset --tree ~/src/qemu --base v10.0.0 --series my.mbox --times 5
    """
    if list_:
        _print_list(as_json)
        return ExitCode.DONE
    chosen = scenarios_from_names(names, _DEVICES[device])
    require_packages()
    progress = progress_for(quiet=quiet)
    request = ArmsRequest(**arms)
    make = arms_from_request if request.names_a_series else base_from_request
    built = make(request, progress=progress)
    image = build_image(load_recipe(project_dir() / "guest-images" / "default.toml"), progress=progress)
    if accelerator is None:
        choice = probe_accelerator(built.baseline.qemu, built.baseline.firmware, image, progress=progress)
        accelerator = choice.accelerator
    folder = _new_folder(evidence)
    results = {
        arm: _perform_all(arm, ground, chosen, times, folder / arm, progress)
        for arm, ground in _grounds(built, image, accelerator, _DEVICES[device]).items()
    }
    said = changes(results["baseline"], results["candidate"]) if "candidate" in results else ()
    if as_json:
        arms_json = {arm: [result.to_json() for result in found] for arm, found in results.items()}
        print_json({"accelerator": accelerator, "device": device, **arms_json, "changes": list(said)})
    else:
        print_text(_text(results, said, accelerator))
    return int(_EXIT_CODES[verdict_of(results.get("candidate", results["baseline"]))])


def _grounds(built: Arms, image: GuestImage, accelerator: str, device: Device) -> dict[str, Ground]:
    baseline, candidate = built.baseline, built.candidate
    grounds = {"baseline": Ground(baseline.qemu, baseline.firmware, image, accelerator, device)}
    if built.series is not None:
        grounds["candidate"] = Ground(candidate.qemu, candidate.firmware, image, accelerator, device)
    return grounds


def _new_folder(evidence: Path | None) -> Path:
    """Return an empty folder for the evidence.

    :raise InputError: the one that was named is not empty, or cannot be made.
    """
    folder = evidence or cache_dir("scenario") / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as err:
        raise InputError(f"{folder} cannot be a folder for evidence: {err.strerror}") from err
    if taken:
        raise InputError(f"{folder} is not empty", remedy="name a new folder for the evidence")
    return folder.absolute()


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
                + (f": {result.reason.splitlines()[0]}" if result.reason else "")
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


def _text(results: dict[str, tuple[ScenarioResult, ...]], said: Sequence[str], accelerator: str) -> str:
    lines: list[str] = []
    for arm, found in results.items():
        lines += [f"{arm} ({accelerator})", f"{'scenario':<16} {'verdict':<10} {'standstill':>10} {'back after':>10}"]
        for result in found:
            lines.append(f"{result.name:<16} {result.verdict.value:<10} {_gap_text(result)}")
            if result.reason:
                lines += [f"    {result.reason}", f"    evidence: {result.evidence}"]
            lines += [f"    note: {warning}" for warning in result.warnings]
        lines.append("")
    lines += said or (["the series changes no verdict"] if "candidate" in results else [])
    return "\n".join(lines).rstrip("\n")


def _gap_text(result: ScenarioResult) -> str:
    """Return the longest standstill and the longest way back over the disturbances of a scenario."""
    if not result.gaps:
        return f"{'-':>10} {'-':>10}"
    standstill = max(gap.standstill_s for gap in result.gaps)
    back = [gap.recovery_s for gap in result.gaps if gap.recovery_s is not None]
    after = f"{max(back):.2f} s" if len(back) == len(result.gaps) else "not seen"
    return f"{standstill:>8.2f} s {after:>10}"
