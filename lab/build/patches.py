"""A source and a series to one build per patch, each on top of those before it: is the series bisectable, and where?"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab.build.arms import Arms, applied
from lab.build.build import Build, objections, require_comparable
from lab.build.builder import Builder
from lab.build.purpose import Purpose, Role
from lab.build.source import SourceTree
from lab.errors import CommandError
from lab.progress import Progress
from lab.series.series import Series


@dataclass(frozen=True)
class PatchBuild:
    """What became of building one patch of a series.

    :param index: number of the patch; 0 is the base.
    :param error: why it does not build; empty where it does.
    :param evidence: the log of a build that failed.
    """

    index: int
    subject: str
    commit: str
    build: Build | None
    error: str = ""
    evidence: str = ""


class PatchBuilds:
    """Builds of a series after each of its patches, made when they are asked for.

    Positions count the patches that are there: 0 is the base, 1 the base and the first patch, and so on.

    :param source: holds the base; the attribute of that name has what the series builds on in it, too.
    :raise PatchError: the series does not apply; nothing was built.
    :raise HostError: this host cannot build; MissingPackagesError says what to install.
    """

    def __init__(self, source: SourceTree, series: Series, *, progress: Progress) -> None:
        source, self.foundation, application = applied(source, series, progress)
        self.source = source
        self.series = series
        self._commits = (source.commit, *(done.commit for done in application.applied))
        self._builder = Builder.open(source, progress)
        self._built: dict[int, PatchBuild] = {}

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self.series.patches)

    def at(self, position: int) -> PatchBuild:
        """Return the build after a patch, or why there is none.

        :raise CommandError: the base (position 0) does not build.
        :raise DeadlineError: it took hours.
        """
        if position not in self._built:
            self._built[position] = self._base() if position == 0 else self._patch(position)
        return self._built[position]

    def arms(self, low: int, high: int) -> Arms:
        """Return two positions as the arms of an experiment: what the patches between them change.

        :param low: becomes the baseline; both must build.
        :raise NotComparableError: they differ in more than their source, or are debug builds.
        """
        baseline, candidate = self.at(low).build, self.at(high).build
        assert baseline is not None and candidate is not None
        require_comparable(baseline, candidate)
        source = replace(self.source, commit=baseline.commit, tree_id=baseline.tree_id)
        patches = replace(self.series, patches=self.series.patches[low:high])
        return Arms(source, baseline, candidate, patches, objections(baseline, candidate), self.foundation)

    def _base(self) -> PatchBuild:
        title = f"base (QEMU {self.source.version})"
        build = self._builder.build(self.source.commit, title=title, purpose=Purpose(Role.BASELINE))
        return PatchBuild(0, f"base: {self.source.origin}", self.source.commit, build)

    def _patch(self, position: int) -> PatchBuild:
        patch, commit = self.series.patches[position - 1], self._commits[position]
        title = f"patch {patch.index}/{self.series.expected} ({patch.subject})"
        purpose = Purpose(Role.PATCH, self.series.title, patch.index)
        try:
            build = self._builder.build(commit, title=title, purpose=purpose)
        except CommandError as err:
            error, evidence = f"{err.message}\n{err.remedy}", str(err.evidence or "")
            return PatchBuild(patch.index, patch.subject, commit, None, error, evidence)
        return PatchBuild(patch.index, patch.subject, commit, build)


def build_each_patch(source: SourceTree, series: Series, *, progress: Progress) -> tuple[PatchBuild, ...]:
    """Build the base and then every patch on top of those before it; go on after one that does not build.

    :raise PatchError: the series does not apply; nothing was built.
    :raise CommandError: the base does not build.
    :raise DeadlineError: it took hours.
    :raise HostError: this host cannot build.
    """
    builds = PatchBuilds(source, series, progress=progress)
    return tuple(builds.at(position) for position in range(len(builds) + 1))
