"""``lab capabilities``: what a QEMU binary can do, and what a series changes in that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import click

from lab.cli.binaries import asked_binaries, binary_options
from lab.cli.output import print_json, print_text, progress_for
from lab.errors import ExitCode
from lab.machine.capabilities import Capabilities, differences
from lab.machine.capabilities_probe import capabilities_of
from lab.machine.mapping import Device

_NAMES_SHOWN = 40
_RELEASE = re.compile(r"-\d+(?:\.\d+)+$")


@click.command()
@binary_options
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def capabilities(as_json: bool, quiet: bool, **named: Any) -> int:
    """Show what a QEMU binary can do, asked of the binary itself; of two, also what they differ in.

    With a series both arms are built (or found in the cache) and compared; without one, and without --qemu, the base is
    asked.

    \b
    Example: lab capabilities --qemu /usr/bin/qemu-system-x86_64
    """
    binaries = asked_binaries(named, progress=progress_for(quiet=quiet))
    found = {name: capabilities_of(path) for name, path in binaries.items()}
    one, *others = found.values()
    changes = list(differences(one, others[0])) if others else []
    if as_json:
        shown = [{"name": name, "qemu": str(binaries[name]), **found[name].to_summary()} for name in found]
        print_json({"binaries": shown, "differences": changes})
        return ExitCode.DONE
    for name, path in binaries.items():
        print_text(f"{name}: {path}\n{text_from_capabilities(found[name])}\n")
    if others:
        print_text("\n".join(changes) or "both can do the same")
    return ExitCode.DONE


def text_from_capabilities(found: Capabilities) -> str:
    """Return the table of one binary."""
    mapping = [device.value for device in Device if found.has_mapping(device)]
    dialect = f" (virtio-scsi: {found.scsi_dialect} dialect)" if found.scsi_dialect else ""
    tried = [f"not {name} ({refusal})" if refusal else name for name, refusal in _named(found.tried)]
    rows = {
        "version": [found.version],
        "accelerators": found.accelerators,
        "machine types": _machine_types(found.machine_types),
        "CPU models": [f"{len(found.cpu_models)}, listed by --json"],
        "devices": [f"{len(found.devices)}, listed by --json"],
        "iothread-vq-mapping": [", ".join(mapping) + dialect if mapping else "none"],
        "block drivers": found.block_drivers,
        "options": tried,
        "object types": found.object_types,
        "trace backends": found.trace_backends or ["none that can be told from outside"],
    }
    return "\n".join(f"  {name:<20} {_row(tuple(values))}" for name, values in rows.items())


def _named(tried: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each option that was tried, in words that say whose it is, and QEMU's refusal."""
    for name, refusal in tried.items():
        yield ("host-nodes of a memory backend" if name == "host-nodes" else name), refusal


def _machine_types(names: tuple[str, ...]) -> list[str]:
    """Return the names that stay from release to release, and how many have a release's number in them."""
    lasting = [name for name in names if not _RELEASE.search(name)]
    return [*lasting, f"and {len(names) - len(lasting)} of certain releases"]


def _row(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more, listed by --json"
