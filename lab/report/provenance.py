"""Where the numbers come from, in words: host, builds, series. Keys that are not there are left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.analysis.results import Results
from lab.record import Arm

_HOST_KEYS = {
    "cpu_model": "CPU",
    "usable_cpus": "usable CPUs",
    "memory_mib": "memory (MiB)",
    "distribution": "distribution",
    "kernel_release": "kernel",
    "governors": "governors",
    "smt_active": "SMT",
    "hypervisor": "virtual machine",
    "accelerator": "accelerator",
    "accelerator_reason": "because",
    "guest_kernel": "guest kernel",
    "fingerprint": "fingerprint",
}
_BUILD_KEYS = {
    "version": "QEMU",
    "origin": "made from",
    "commit": "commit",
    "tree_id": "tree",
    "compiler": "compiler",
    "linker": "linker",
    "c_flags": "C flags",
    "configure_options": "configure options",
    "binary_sha256": "binary sha256",
}


def host_facts(results: Results) -> tuple[tuple[str, str], ...]:
    """Return (name, value) of what is known of the host."""
    return _known(results.host, _HOST_KEYS)


def build_facts(results: Results, arm: Arm) -> tuple[tuple[str, str], ...]:
    """Return (name, value) of what is known of the build of an arm."""
    build = results.builds.get(arm.value)
    return _known(build, _BUILD_KEYS) if isinstance(build, Mapping) else ()


def series_title(results: Results) -> str:
    """Return the title of the series, else what the user called it, else nothing."""
    series = results.builds.get("series")
    title = series.get("title") if isinstance(series, Mapping) else None
    return str(title or results.question.series)


def patch_subjects(results: Results) -> tuple[str, ...]:
    """Return the subjects of the patches of the series, in order."""
    series = results.builds.get("series")
    patches = series.get("patches") if isinstance(series, Mapping) else None
    if not isinstance(patches, list):
        return ()
    return tuple(str(patch.get("subject", "")) for patch in patches if isinstance(patch, Mapping))


def host_line(results: Results) -> str:
    """Return the host in a few words, for a mail or the foot of a picture."""
    host = results.host
    parts = [host.get("cpu_model"), f"{host['usable_cpus']:g} CPUs" if _is_number(host.get("usable_cpus")) else None]
    parts += [host.get("distribution"), f"Linux {host['kernel_release']}" if host.get("kernel_release") else None]
    return ", ".join([*(str(part) for part in parts if part), f"tier {results.tier}"])


def source_line(results: Results) -> str:
    """Return experiment and builds in one line."""
    parts = [f"experiment {results.path.name}"]
    for arm in Arm:
        commit = dict(build_facts(results, arm)).get("commit")
        if commit:
            parts.append(f"{arm.value} {commit[:12]}")
    if series_title(results):
        parts.append(f"series '{series_title(results)}'")
    return ", ".join(parts)


def _known(facts: Mapping[str, Any], names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    known = {name: _text(facts[key]) for key, name in names.items() if facts.get(key) not in (None, "", [])}
    return tuple(known.items())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"  # 2 CPUs, not 2.0
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
