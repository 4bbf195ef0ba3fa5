"""``lab host``: show, tune and restore the host's settings for measuring, and try a CPU plan."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from lab.cli.output import print_json, print_text, progress_for
from lab.errors import ExitCode, InputError
from lab.host.cpu_plan import CpuPlan, Threads
from lab.host.cpu_plan_choice import plan_cpus, plan_from_pins
from lab.host.cpu_plan_show import plan_to_json, text_from_plan
from lab.host.exclusive import host_lock
from lab.host.facts import cpus_from_list
from lab.host.topology import BlockDevice, Topology, read_block_device, read_topology
from lab.host.tuning import Proposal, propose, restore, tune
from lab.host.tuning_controls import HostControls
from lab.host.tuning_journal import Journal, JournalFile
from lab.host.tuning_knobs import Entry, KnobState, irq_entries, survey
from lab.host.tuning_session import put_back_leftovers, require_root
from lab.units import text_from_cpus

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


@click.group("host")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True, resolve_path=True),
    default=Path("/"),
    help="A folder with another host's /proc and /sys, to look at it from here.",
)
@click.pass_context
def host(context: click.Context, root: Path) -> None:
    """Show, tune and restore the host's settings for measuring.

    \b
    Example: lab host show
    """
    context.obj = root


@host.command("show")
@_AS_JSON
@click.pass_obj
def show_command(root: Path, as_json: bool) -> int:
    """Show the CPUs and each knob: how it is set, and what the profile bench would set.

    \b
    Example: lab host show
    """
    topology, states, journal = read_topology(root), survey(HostControls(root)), JournalFile(root).load()
    if as_json:
        print_json(
            {
                "topology": _topology_to_json(topology),
                "knobs": [_knob_to_json(state) for state in states],
                "tuned_at": None if journal is None else journal.at,
            }
        )
        return int(ExitCode.DONE)
    isolated = text_from_cpus(cpu.id for cpu in topology.cpus if cpu.isolated)
    lines = [
        f"CPUs: {text_from_cpus(cpu.id for cpu in topology.cpus)}; isolated: {isolated or 'none'}",
        f"cores: {topology.cores}; NUMA nodes: {_nodes(topology)}",
        *([f"online but not for this process: {text_from_cpus(topology.withheld)}"] if topology.withheld else []),
        "",
        f"{'knob':14}{'is':13}{'bench':13}values",
        *(_knob_line(state) for state in states),
        "",
        _tuning(journal),
    ]
    print_text("\n".join(lines))
    return int(ExitCode.DONE)


@host.command("tune")
@click.option("--profile", type=click.Choice(["bench"]), default="bench", show_default=True, help="What to set.")
@click.option("--only", help="Knobs instead of the profile, each with or without a value: governor,thp=always.")
@click.option("--irqs", metavar="DEVICE", help="Also move the interrupts of this block device, to --irq-cpus.")
@click.option("--irq-cpus", metavar="CPUS", help="CPUs for the interrupts, such as 0-1.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@_AS_JSON
@click.pass_obj
def tune_command(
    root: Path, profile: str, only: str | None, irqs: str | None, irq_cpus: str | None, dry_run: bool, as_json: bool
) -> int:
    """Set the host up for measuring. What was before is on disk first, and 'lab host restore' puts it back.

    \b
    Examples: lab host tune --dry-run
              lab host tune --only governor,thp=always
    """
    assert profile  # the only one there is
    controls = HostControls(root)
    wanted = [] if only is None else [word for word in only.split(",") if word.strip()]
    if only is not None and not wanted:
        raise InputError("--only names no knob", remedy="'lab host show' lists them")
    with ExitStack() as stack:
        if not dry_run:
            require_root("tune the host")
            stack.enter_context(host_lock("tune the host"))
            put_back_leftovers(controls, JournalFile(root))  # before their values are taken for those to come back to
        proposal = propose(controls, wanted)
        entries = (*_irqs(root, irqs, irq_cpus), *proposal.entries)
        refused: tuple[Entry, ...] = ()
        if not dry_run:
            at = datetime.now(UTC).isoformat(timespec="seconds")
            refused = tune(controls, JournalFile(root), entries, at=at)
    _print_tuning(proposal, entries, refused, dry_run=dry_run, as_json=as_json)
    return int(ExitCode.DONE)


@host.command("restore")
@click.option("--forget", is_flag=True, help="Remove the journal and leave every setting as it is.")
@_AS_JSON
@click.pass_obj
def restore_command(root: Path, forget: bool, as_json: bool) -> int:
    """Put every setting back to what it was before it was tuned, also after a crash or a reboot.

    \b
    Example: lab host restore
    """
    file = JournalFile(root)
    require_root("restore the host")
    with host_lock("restore the host"):
        if forget:
            file.remove()
        done = restore(HostControls(root), file)
    if as_json:
        print_json({"restored": [{"knob": o.entry.knob, "target": o.entry.target, "how": o.how} for o in done]})
    elif done:
        print_text("\n".join(f"{one.entry.knob:14}/{one.entry.target}: {one.how}" for one in done))
    else:
        print_text("nothing to put back: the lab has not tuned this host")
    return int(ExitCode.DONE)


@host.command("plan")
@click.option("--vcpus", type=click.IntRange(1, 1024), default=4, show_default=True, help="vCPUs of the guest.")
@click.option("--iothreads", type=click.IntRange(0, 1024), default=1, show_default=True, help="IOThreads.")
@click.option("--device", help="The host's block device that is measured: its NUMA node is preferred.")
@click.option("--pin", "pins", multiple=True, help="Your own plan, for every thread: vcpu0=2, iothread0=4-5.")
@click.option("--overlap", is_flag=True, help="With --pin: threads may share CPUs.")
@click.option("--strict", is_flag=True, help="Refuse a plan in which threads share CPUs.")
@_AS_JSON
@click.pass_obj
def plan_command(
    root: Path,
    vcpus: int,
    iothreads: int,
    device: str | None,
    pins: Sequence[str],
    overlap: bool,
    strict: bool,
    as_json: bool,
) -> int:
    """Show where the threads of a guest would be put on this host, and what could not be claimed then.

    \b
    Example: lab host plan --vcpus 4 --iothreads 2
    """
    threads = Threads(vcpus, tuple(f"iothread{number}" for number in range(iothreads)))
    topology, disk = read_topology(root), None if device is None else read_block_device(device, root)
    plan = _plan(topology, threads, disk, pins, overlap=overlap, strict=strict)
    if as_json:
        print_json(plan_to_json(plan))
    else:
        print_text(text_from_plan(plan))
    return int(ExitCode.DONE)


def _plan(
    topology: Topology, threads: Threads, disk: BlockDevice | None, pins: Sequence[str], *, overlap: bool, strict: bool
) -> CpuPlan:
    if pins:
        return plan_from_pins(topology, threads, pins, overlap=overlap, device=disk)
    return plan_cpus(topology, threads, device=disk, strict=strict)


def _irqs(root: Path, device: str | None, cpus: str | None) -> tuple[Entry, ...]:
    if device is None and cpus is None:
        return ()
    if device is None or cpus is None:
        raise InputError("--irqs and --irq-cpus go together", remedy="for example: --irqs sda --irq-cpus 0-1")
    usable = {cpu.id for cpu in read_topology(root).cpus}
    try:
        places = set(cpus_from_list(cpus)) if len(cpus) < 200 else set()
    except ValueError:
        places = set()
    if not places or not places <= usable:
        raise InputError(f"'{cpus}' is no list of usable CPUs", remedy=f"usable: {text_from_cpus(usable)}")
    return irq_entries(HostControls(root), read_block_device(device, root).irqs, places)


def _print_tuning(
    proposal: Proposal, entries: Sequence[Entry], refused: Sequence[Entry], *, dry_run: bool, as_json: bool
) -> None:
    if as_json:
        changes = [vars(entry) | {"refused": entry in refused} for entry in entries]
        print_json({"changed": not dry_run, "changes": changes, "skipped": list(proposal.skipped)})
        return
    progress = progress_for()
    for skipped in proposal.skipped:
        progress.say(f"skipped {skipped}")
    for entry in refused:
        progress.say(f"left /{entry.target}: the kernel refuses, it manages this interrupt itself")
    verb = "would change" if dry_run else "changed"
    made = [entry for entry in entries if entry not in refused]
    lines = [f"{verb} /{entry.target}: '{entry.before}' to '{entry.after}'" for entry in made]
    if made and not dry_run:
        lines.append("back again with: lab host restore")
    print_text("\n".join(lines or ["nothing to change: everything is as wanted"]))


def _tuning(journal: Journal | None) -> str:
    if journal is None:
        return "not tuned by the lab"
    if journal.for_run:
        return f"tuned for a run at {journal.at}, which puts it back; if it was killed: lab host restore"
    return f"tuned by the lab at {journal.at}; back again with: lab host restore"


def _nodes(topology: Topology) -> str:
    if not topology.has_nodes:
        return "unknown, this kernel shows none"
    return f"{len(topology.nodes)} (number {text_from_cpus(topology.nodes)})"


def _knob_line(state: KnobState) -> str:
    value, bench = state.value or "-", state.knob.bench or "-"
    tail = ", ".join(state.knob.values) if state.value is not None else f"not here: {state.reason}"
    return f"{state.knob.name:14}{value:13}{bench:13}{tail}"


def _knob_to_json(state: KnobState) -> dict[str, Any]:
    return {
        "name": state.knob.name,
        "title": state.knob.title,
        "available": state.value is not None,
        "value": state.value,
        "bench": state.knob.bench or None,
        "values": list(state.knob.values),
        "reason": state.reason,
    }


def _topology_to_json(topology: Topology) -> dict[str, Any]:
    return {
        "cpus": [vars(cpu) for cpu in topology.cpus],
        "withheld": list(topology.withheld),
        "numa_nodes": list(topology.nodes) if topology.has_nodes else None,
    }
