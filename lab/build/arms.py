"""A source and a series to the two arms of an experiment: baseline and candidate, built alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lab.build.build import Build, objections, require_comparable
from lab.build.builder import Builder
from lab.build.purpose import Purpose, Role
from lab.build.source import SourceTree
from lab.errors import CommandError, FindingError
from lab.progress import Progress
from lab.series.apply import Application, apply_series
from lab.series.prerequisites import Foundation, json_from_foundation, lay_foundation
from lab.series.series import Series, json_from_patch


@dataclass(frozen=True)
class Arms:
    """What is compared with what.

    :param candidate: without a series the baseline itself, or its control (:func:`build_control`).
    :param warnings: sentences for the report, where a comparison was forced.
    :param foundation: what both arms contain of what the series builds on; None without a series.
    """

    source: SourceTree
    baseline: Build
    candidate: Build
    series: Series | None = None
    warnings: tuple[str, ...] = ()
    foundation: Foundation | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the content of builds.json: per arm the build, and what series made the candidate."""
        series = self.series
        return {
            "baseline": {**self.baseline.to_json(), "patch_ids": []},
            "candidate": {
                **self.candidate.to_json(),
                "patch_ids": [patch.patch_id for patch in series.patches] if series else [],
            },
            "series": series
            and {
                "title": series.title,
                "revision": series.revision,
                "patches": [json_from_patch(patch) for patch in series.patches],
            },
            "base_commit": self.source.commit,
            **json_from_foundation(self.foundation),
            "warnings": list(self.warnings),
            "forced": bool(objections(self.baseline, self.candidate)),  # else they would have been refused
        }


def build_arms(source: SourceTree, series: Series | None, *, progress: Progress, force: bool = False) -> Arms:
    """Build the base and the base with the series, with the same options; both come from the cache where they can.

    :param series: None compares the base with itself.
    :param force: compare unlike builds all the same, with a warning.
    :raise PatchError: the series does not apply; nothing was built.
    :raise CommandError: the baseline does not build.
    :raise FindingError: the baseline builds and the candidate does not.
    :raise NotComparableError: they differ in more than their source, or are debug builds.
    :raise HostError: this host cannot build; MissingPackagesError says what to install.
    """
    foundation, application = None, None
    if series is not None:
        source, foundation, application = applied(source, series, progress)
    builder = Builder.open(source, progress)
    baseline = builder.build(source.commit, title=f"baseline (QEMU {source.version})", purpose=Purpose(Role.BASELINE))
    if series is None or application is None:
        return Arms(source, baseline, baseline)
    purpose = Purpose(Role.CANDIDATE, series.title, series.patches[-1].index)
    try:
        candidate = builder.build(application.commit, title=f"candidate ({series.title})", purpose=purpose)
    except CommandError as err:
        raise FindingError(
            f"the series '{series.title}' does not build, though its base does: {err.message}",
            remedy=err.remedy,
            evidence=err.evidence,
        ) from err
    if not force:
        require_comparable(baseline, candidate)
    return Arms(source, baseline, candidate, series, objections(baseline, candidate), foundation)


def build_control(source: SourceTree, *, progress: Progress) -> Arms:
    """Build the base twice, the second time from nothing, as the two arms of an A/A comparison.

    What differs between them is what building and measuring add, and no series can be blamed for.

    :raise CommandError: the base does not build.
    :raise HostError: this host cannot build; MissingPackagesError says what to install.
    """
    commit, title = source.commit, f"baseline (QEMU {source.version})"
    baseline = Builder.open(source, progress).build(commit, title=title, purpose=Purpose(Role.BASELINE))
    again = Builder.open(source, progress, control=True)
    control = again.build(commit, title="control (the same once more)", purpose=Purpose(Role.CONTROL))
    return Arms(source, baseline, control, None, objections(baseline, control))


def applied(source: SourceTree, series: Series, progress: Progress) -> tuple[SourceTree, Foundation, Application]:
    """Apply a series to its base, with what the series builds on between them where the tree has it.

    :return: the base that the series stands on, which the other arm must have too; how it came to be; the series.
    :raise PatchError: the series does not apply.
    :raise CommandError: git cannot read what the series builds on.
    """
    foundation = lay_foundation(source.repository, source.commit, series, tree=source.working_tree, progress=progress)
    for line in (*foundation.laid, *foundation.unmet):
        progress.say(line)
    if foundation.prerequisites:
        origin = f"{source.origin} and {foundation.count}"
        source = replace(source, commit=foundation.commit, tree_id=foundation.tree_id, origin=origin)
    application = apply_series(source.repository, source.commit, series, reasons=foundation.reasons)
    application.require_all()
    return source, foundation, application
