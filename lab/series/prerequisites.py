"""A series and a base to the commit that the series really builds on: the base and what the series says it needs.

``prerequisite-patch-id:`` (git-format-patch(1), base tree information) names patches by content, and ``Based-on:``
(QEMU's docs/devel/submitting-a-patch.rst) names a series by its message-id. What of that the base lacks and another
branch of the tree has, is put under the series, so that both arms of a comparison contain it: else the series would be
blamed, or praised, for the work of others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab.errors import PatchError
from lab.progress import Progress
from lab.series.apply import FailedPatch, apply_series
from lab.series.history import SEARCHED_COMMITS, History, patch_from_commit, tips_of
from lab.series.message_id import message_id_from_text, posting_of
from lab.series.repository import Repository
from lab.series.series import Patch, Series

_SHOWN = 20
_SHOWN_CHARS = 200


@dataclass(frozen=True)
class Prerequisite:
    """A patch that was put under the series.

    :param found_as: the commit of the tree it was found in.
    :param commit: what it became on top of the base.
    """

    subject: str
    patch_id: str
    found_as: str
    commit: str


@dataclass(frozen=True)
class Foundation:
    """What a series is applied to.

    :param base_commit: the commit that was chosen.
    :param commit: the base with the prerequisites on top; the base itself where there are none.
    :param prerequisites: in the order in which they were applied.
    :param unmet: a sentence for each thing that the series says it needs, and that was not put under it.
    """

    base_commit: str
    commit: str
    tree_id: str
    prerequisites: tuple[Prerequisite, ...] = ()
    unmet: tuple[str, ...] = ()

    @property
    def laid(self) -> tuple[str, ...]:
        """For people: what was put under the series, a line each below a title; nothing where nothing was."""
        if not self.prerequisites:
            return ()
        return (
            f"on top of {self.count} found in the tree:",
            *(f"  {_named(one.found_as, one.subject)}" for one in self.prerequisites),
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """For the diagnosis of a patch that does not apply."""
        there = "; ".join(_named(one.found_as, one.subject) for one in self.prerequisites[:_SHOWN])
        return (*([f"it was applied on top of {self.count} found in the tree: {there}"] if there else []), *self.unmet)

    @property
    def count(self) -> str:
        """For people: ``2 prerequisites``."""
        number = len(self.prerequisites)
        return f"{number} prerequisite{'' if number == 1 else 's'}"


def lay_foundation(
    repository: Repository, base_commit: str, series: Series, *, tree: Path | None, progress: Progress
) -> Foundation:
    """Return what a series is to be applied to.

    Commits are made in the lab's repository, and are a function of the base and of what was found.

    :param repository: sees the objects of the tree.
    :param tree: the user's, whose branches, tags and remotes are searched; None where there is only the base.
    :raise CommandError: git cannot read a commit that it found.
    """
    tree_id = repository.tree_id(base_commit)
    if not series.prerequisites and not series.based_on:
        return Foundation(base_commit, base_commit, tree_id)
    with progress.stage("looking in the tree for what the series builds on"):
        search = _Search(
            inside=History(repository, (base_commit,)),
            outside=History(repository, tips_of(tree) if tree is not None else (), without=base_commit),
        )
        commits, unmet = _found(search, series)
        patches = [patch_from_commit(repository, commit, index) for index, commit in enumerate(commits, start=1)]
        needed = _without_copies(patches, commits)
        found = tuple(pair for pair in needed if pair[0].patch_id not in search.inside.by_patch_id)
    return _laid(repository, Foundation(base_commit, base_commit, tree_id, unmet=unmet), found)


@dataclass(frozen=True)
class _Search:
    """Where is looked: in the history of the base, and in the rest of the tree."""

    inside: History
    outside: History

    @property
    def where(self) -> str:
        if not self.outside.tips:
            return "in the base, and there are no branches to look in"
        return f"among the {SEARCHED_COMMITS} newest commits of the base or of the branches and tags of the tree"


def _found(search: _Search, series: Series) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the commits that the series needs and the base lacks, in order, and sentences about what is nowhere."""
    by_id: list[str] = []
    unmet: list[str] = []
    for what in series.based_on:
        commits, complaint = _of_posting(search, what)
        by_id += commits
        if complaint:
            unmet.append(f"the series says it builds on '{what[:_SHOWN_CHARS]}', {complaint}: apply that first")
    named: list[str] = []
    for patch_id in map(str.lower, series.prerequisites):
        if patch_id in search.inside.by_patch_id:
            continue
        commit = search.outside.by_patch_id.get(patch_id)
        if commit is None:
            unmet.append(f"a patch it builds on (prerequisite-patch-id {patch_id}) is not {search.where}")
        else:
            named.append(commit)
    if len(unmet) > _SHOWN:
        unmet[_SHOWN:] = [f"and {len(unmet) - _SHOWN} more that it builds on are not there"]
    return (*by_id, *named), tuple(unmet)


def _without_copies(patches: Sequence[Patch], commits: Sequence[str]) -> tuple[tuple[Patch, str], ...]:
    """Return each change once, in its last place.

    Two branches may have it; what is named by patch-id comes last, in the order of the trailers, the author's own.
    """
    pairs = {patch.patch_id: (patch, commit) for patch, commit in zip(patches, commits, strict=True)}
    order = dict.fromkeys(patch.patch_id for patch in reversed(patches) if patch.patch_id)
    return tuple(pairs[patch_id] for patch_id in reversed(order))


def _of_posting(search: _Search, what: str) -> tuple[Sequence[str], str]:
    """Return the commits of a posting that the base lacks, in order; or why it cannot be used."""
    message_id = message_id_from_text(what)
    if not message_id:
        return (), "which holds no message-id to look for"
    inside, outside = (_members(history.by_message_id, message_id) for history in (search.inside, search.outside))
    if not inside and not outside:
        return (), f"and no Message-Id or Link of a mail of it is {search.where}"
    posting = posting_of(message_id)
    if posting.number is not None:
        numbers = {posting_of(member).number or 0 for member in {**inside, **outside}}
        first, last = min(numbers), max(numbers)
        if first not in posting.first or last < posting.number or len(numbers) != last - first + 1:
            there = ", ".join(str(number) for number in sorted(numbers)[:_SHOWN])
            return (), f"of which the tree has only the mails numbered {there}"
        return [outside[key] for key in sorted(outside, key=_number) if key not in inside], ""
    # Newest first, as the log has them: the order in which they were made is the other way round.
    return [commit for member, commit in reversed(outside.items()) if member not in inside], ""


def _members(commits: Mapping[str, str], message_id: str) -> dict[str, str]:
    """Return the commits of the posting that a message-id belongs to."""
    name = posting_of(message_id).name
    return {other: commit for other, commit in commits.items() if posting_of(other).name == name}


def _number(message_id: str) -> int:
    return posting_of(message_id).number or 0


def _laid(repository: Repository, bare: Foundation, found: tuple[tuple[Patch, str], ...]) -> Foundation:
    """Put patches on top of a base, all of them or none."""
    if not found:
        return bare
    patches = tuple(patch for patch, _ in found)
    try:
        done = apply_series(repository, bare.base_commit, Series("prerequisites", 1, len(patches), patches))
    except PatchError as err:
        return _refused(bare, err.message)
    if done.failed is not None:
        commit = found[len(done.applied)][1]
        return _refused(bare, f"{_named(commit, done.failed.patch.subject)}: {_reason(done.failed)}")
    laid = tuple(
        Prerequisite(applied.patch.subject, applied.patch.patch_id, commit, applied.commit)
        for applied, (_, commit) in zip(done.applied, found, strict=True)
    )
    return replace(bare, commit=done.commit, tree_id=done.tree_id, prerequisites=laid)


def _refused(bare: Foundation, why: str) -> Foundation:
    sentence = f"what it builds on is in the tree and does not apply to the base, so none of it is put under: {why}"
    return replace(bare, unmet=(*bare.unmet, sentence))


def _reason(failed: FailedPatch) -> str:
    hunk = failed.hunks[0]
    return f"{hunk.file}:{hunk.line}: {hunk.diagnosis}: {hunk.detail}"


def _named(commit: str, subject: str) -> str:
    return f"{commit[:12]} {subject[:_SHOWN_CHARS]}"


def json_from_foundation(foundation: Foundation | None) -> dict[str, Any]:
    """Return what ``lab series apply --json`` and builds.json say about it beside the base commit.

    ``base_commit`` there is the base with its prerequisites; ``prerequisites_on`` is the one without them.
    """
    laid = foundation.prerequisites if foundation is not None else ()
    return {
        "prerequisites": [
            {"subject": one.subject, "patch_id": one.patch_id, "found_as": one.found_as, "commit": one.commit}
            for one in laid
        ],
        "prerequisites_on": foundation.base_commit if foundation is not None and laid else None,
        "prerequisites_missing": list(foundation.unmet) if foundation is not None else [],
    }
