"""Whether arms, or whole results, may be compared at all: what was not asked about must be equal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from lab.analysis.results import Results
from lab.record import Arm, RunRecord

_MUST_BE_ALIKE = ("configure_options", "compiler", "linker", "libraries", "c_flags", "firmware_sha256")


def unlike_reasons(results: Results) -> tuple[str, ...]:
    """Return why no verdict can be given at all: the arms differ in something that was not asked about.

    Builds that somebody insisted on comparing (``--force``) have their differences as warnings, which reports show.
    """
    reasons: list[str] = []
    baseline, candidate = results.builds.get("baseline"), results.builds.get("candidate")
    if isinstance(baseline, Mapping) and isinstance(candidate, Mapping) and not _forced(results):
        reasons += [
            f"the builds differ in {key}: {' and '.join(_unequal_parts(baseline.get(key), candidate.get(key)))}"
            for key in _MUST_BE_ALIKE
            if baseline.get(key) != candidate.get(key)
        ]
    used = {arm: {run.accelerator for run in results.ok if run.scheduled.cell.arm is arm} for arm in Arm}
    if all(used.values()) and used[Arm.BASELINE] != used[Arm.CANDIDATE]:
        names = " and ".join("/".join(sorted(used[arm])) for arm in Arm)
        reasons.append(f"the arms ran with different accelerators: {names}")
    elif len(used[Arm.BASELINE]) > 1:
        reasons.append(f"the runs had several accelerators: {' and '.join(sorted(used[Arm.BASELINE]))}")
    return tuple(reasons)


def _forced(results: Results) -> bool:
    """Tell whether somebody insisted; of older folders, which do not say, their warnings tell."""
    if "forced" in results.builds:
        return results.builds["forced"] is True
    names = tuple(f"{key.replace('_', ' ')}: " for key in _MUST_BE_ALIKE)
    return any(text.startswith(names) for text in results.build_warnings)


def same_runs(one: Results, other: Results) -> bool:
    """Tell whether two results have a run in common, so that one is a copy of the other or of a part of it.

    Runs of a CSV file have no time, and equal numbers may be chance: there, all of them have to be the same.
    """
    mine, theirs = (set(map(_identity, results.records)) for results in (one, other))
    return any(started_at for *_, started_at in mine & theirs) or (bool(mine) and mine == theirs)


def _identity(record: RunRecord) -> tuple[object, ...]:
    run = record.scheduled
    return run.block, run.cell.id, record.attempt, record.host, *sorted(record.metrics.items()), record.started_at


_HOST = (
    "fingerprint",
    "host_id",
    "cpu_model",
    "kernel_release",
    "usable_cpus",
    "smt_active",
    "governors",
    "turbo",
    "transparent_hugepages",
    "hypervisor",
)
SOFTWARE = ("accelerator", "guest_image", "guest_kernel", "guest_programs")


def host_differences(one: Results, other: Results) -> tuple[str, ...]:
    """Return what differs between the hosts, kernels and their tuning, each as a sentence."""
    return tuple(_differences("the host", one.host, other.host, _HOST))


def setting_differences(one: Results, other: Results) -> tuple[str, ...]:
    """Return what else differs that values depend on: accelerator, guest, machine, fio job, times; each as a sentence.

    Blocks, seeds, names and what is judged may differ.
    """
    return (
        *_differences("the software", _software(one), _software(other), SOFTWARE),
        *_differences("the question", _settings(one), _settings(other)),
    )


def _software(results: Results) -> dict[str, object]:
    """Return what ran beside QEMU. The guest image is on record twice, and old results have it in one place only."""
    image = dict(results.question.settings).get("image") or None
    return {"guest_image": image, **{name: results.host[name] for name in SOFTWARE if results.host.get(name)}}


def _settings(results: Results) -> dict[str, object]:
    return {name: text for name, text in results.question.settings if name != "image"}


def build_differences(one: Mapping[str, object], other: Mapping[str, object]) -> tuple[str, ...]:
    """Return what differs between two builds beside their source, each as a sentence."""
    return tuple(_differences("the builds", one, other, _MUST_BE_ALIKE))


def _differences(
    what: str, one: Mapping[str, object], other: Mapping[str, object], keys: Iterable[str] | None = None
) -> Iterator[str]:
    for key in keys or sorted(set(one) | set(other)):
        if one.get(key) != other.get(key):
            mine, theirs = _unequal_parts(one.get(key), other.get(key))
            yield f"{what}: {key} is {mine} and {theirs}"


def _unequal_parts(one: object, other: object) -> tuple[str, str]:
    """Return two values as texts, of long ones only what the other does not have: a line of a fio job, an option."""
    mine, theirs = _parts(one), _parts(other)
    return _short(part for part in mine if part not in theirs), _short(part for part in theirs if part not in mine)


def _parts(value: object) -> tuple[str, ...]:
    if value is None:
        return ("not known",)
    if isinstance(value, Mapping):
        return tuple(f"{name} {text}" for name, text in value.items())
    return tuple(map(str, value)) if isinstance(value, list) else tuple(str(value).split("\n"))


def _short(parts: Iterable[str]) -> str:
    text = " ".join(parts) or "without that"
    return text if len(text) <= 60 else f"{text[:57]}..."
