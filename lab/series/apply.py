"""A series and a base commit to commits and a tree, or to the reason why not.

Patches are applied to an index, not to files: no work tree exists, so no hook, filter or symbolic link can be
reached, and a failure leaves nothing behind. Commits are a function of base and series alone (the committer is the
lab, at the author's date), so equal input gives equal commit ids.
"""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.errors import CommandError, PatchError
from lab.scratch import scratch_folder
from lab.series.diagnosis import Diagnosis, HunkDiagnosis
from lab.series.diff import files_from_diff, is_unsafe_path
from lab.series.failure import diagnose_patch, reasons_of_base
from lab.series.repository import Repository
from lab.series.series import Patch, Series

_COMMITTER = {"GIT_COMMITTER_NAME": "QEMU patch lab", "GIT_COMMITTER_EMAIL": "lab@localhost"}
_NO_DATE = "@946684800 +0000"

# What git cuts off a name before it looks whether anything is left: crud() in ident.c, and controls.
_CRUD = "".join(map(chr, range(33))) + ".,:;<>\"\\'"
_SHOWN_CHARS = 200


@dataclass(frozen=True)
class AppliedPatch:
    """A patch and the commit it became.

    :param merged: it took a three-way merge with the blobs its ``index`` lines name.
    """

    patch: Patch
    commit: str
    tree_id: str
    merged: bool = False


@dataclass(frozen=True)
class FailedPatch:
    """A patch that does not apply.

    :param hunks: one diagnosis for each hunk that does not fit.
    :param reasons: sentences about the patch as a whole: its base, what it builds on.
    """

    patch: Patch
    hunks: tuple[HunkDiagnosis, ...]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Application:
    """What became of applying a series.

    :param commit: of the last patch that applies; the base where none does.
    """

    base_commit: str
    commit: str
    tree_id: str
    applied: tuple[AppliedPatch, ...]
    failed: FailedPatch | None = None
    not_tried: tuple[Patch, ...] = ()

    def require_all(self) -> None:
        """Refuse a series that did not apply in full.

        :raise PatchError: a patch failed; the message has the diagnosis of each hunk.
        """
        if self.failed is not None:
            raise PatchError(text_from_failure(self), remedy=_remedy(self.failed))


def apply_series(
    repository: Repository, base_commit: str, series: Series, *, reasons: tuple[str, ...] = ()
) -> Application:
    """Apply a series on top of a commit, patch by patch, and stop at the first that fails.

    :param repository: holds the base; the commits are added to it, no ref is.
    :param reasons: what is known about the base, for the diagnosis of a patch that fails.
    :raise PatchError: a patch names a path outside the tree, or git refuses its author or text.
    """
    for patch in series.patches:
        _require_safe_paths(patch)
    commit, tree_id = base_commit, repository.tree_id(base_commit)
    applied: list[AppliedPatch] = []
    with repository.index_of(tree_id) as index:
        for number, patch in enumerate(series.patches):
            complaint = _apply(repository, index, patch)
            refused = complaint and _apply(repository, index, patch, "--3way")
            after = "" if refused else repository.git("write-tree", env=index).stdout.strip()
            # A three-way merge of what is there already succeeds and changes nothing.
            if refused or (complaint and after == tree_id):
                hunks = diagnose_patch(repository, commit, patch, complaint)
                failed = FailedPatch(patch, hunks, (*reasons_of_base(repository, commit, patch), *reasons))
                rest = series.patches[number + 1 :]
                return Application(base_commit, commit, tree_id, tuple(applied), failed, rest)
            tree_id = after
            commit = _commit(repository, tree_id, commit, patch)
            applied.append(AppliedPatch(patch, commit, tree_id, merged=bool(complaint)))
    return Application(base_commit, commit, tree_id, tuple(applied))


def _apply(repository: Repository, index: Mapping[str, str], patch: Patch, *options: str) -> str:
    """Apply a patch to an index; return git's complaint, or nothing where it applied."""
    words = ("apply", "--cached", "--whitespace=nowarn", *options, "-")
    # In spite of --cached a three-way merge compares with the files of the current folder, and writes there what it
    # misses (load_current() in git's apply.c), so it gets an empty one.
    with scratch_folder() as folder:
        (empty := folder / "empty").mkdir()
        result = repository.git(*words, cwd=empty, env=index, stdin=patch.diff, check=False)
    return "" if result.returncode == 0 else result.tail(5) or "git apply failed"


def _commit(repository: Repository, tree_id: str, parent: str, patch: Patch) -> str:
    author = patch.author.replace("\0", "")
    name, address = email.utils.parseaddr(author)
    name = author.rpartition(" <")[0] or name
    date = git_date(patch.date)
    env = {
        **_COMMITTER,
        "GIT_COMMITTER_DATE": date,
        "GIT_AUTHOR_NAME": name if name.strip(_CRUD) else "unknown",
        "GIT_AUTHOR_EMAIL": address or "unknown",
        "GIT_AUTHOR_DATE": date,
    }
    words = ("-c", "i18n.commitEncoding=UTF-8", "commit-tree", tree_id, "-p", parent)
    message = patch.message.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace")
    try:
        return repository.git(*words, env=env, stdin=message).stdout.strip()
    except CommandError as err:
        raise PatchError(
            f"git refuses to commit patch {patch.index} '{patch.subject}': {err.message}",
            remedy="look at the author and the text of the mail",
        ) from err


def git_date(text: str) -> str:
    """Return a mail's date as git takes it for certain; a fixed one where it cannot be read."""
    try:
        sent_at = email.utils.parsedate_to_datetime(text)
        seconds = int(sent_at.timestamp())
    except (TypeError, ValueError, IndexError, OverflowError):
        return _NO_DATE
    zone = sent_at.strftime("%z") or "+0000"
    return f"@{seconds} {zone[:5]}" if seconds >= 0 else _NO_DATE


def _require_safe_paths(patch: Patch) -> None:
    for file in files_from_diff(patch.diff.decode(errors="replace")):
        for path in (file.old_path, file.new_path):
            if path is not None and is_unsafe_path(path):
                raise PatchError(
                    f"patch {patch.index} '{patch.subject}' names '{path[:_SHOWN_CHARS]}', which is outside the tree, "
                    "inside .git, or too long or deep; nothing was applied",
                    remedy="do not use this series",
                )


def json_from_application(application: Application) -> dict[str, Any]:
    """Return the JSON object of ``lab series apply``."""
    failed = application.failed
    return {
        "base_commit": application.base_commit,
        "commit": application.commit,
        "tree_id": application.tree_id,
        "applied": [
            {**_named(done.patch), "commit": done.commit, "tree_id": done.tree_id, "merged": done.merged}
            for done in application.applied
        ],
        "failed": failed
        and {
            **_named(failed.patch),
            "hunks": [
                {"file": hunk.file, "line": hunk.line, "diagnosis": hunk.diagnosis.value, "detail": hunk.detail}
                for hunk in failed.hunks
            ],
            "reasons": list(failed.reasons),
        },
        "not_tried": [_named(patch) for patch in application.not_tried],
    }


def _named(patch: Patch) -> dict[str, Any]:
    return {"index": patch.index, "subject": patch.subject}


def text_from_failure(application: Application) -> str:
    """Return the diagnosis for people: the patch, each hunk, the base, what applied and what was not tried."""
    failed = application.failed
    assert failed is not None
    lines = [f"patch {failed.patch.index} does not apply: {failed.patch.subject}"]
    lines += [f"  {hunk.file}:{hunk.line}: {hunk.diagnosis}: {hunk.detail}" for hunk in failed.hunks]
    lines += [f"  {reason}" for reason in failed.reasons]
    applied = ", ".join(str(done.patch.index) for done in application.applied)
    not_tried = ", ".join(str(patch.index) for patch in application.not_tried)
    lines.append(f"  applied before it: {applied or 'none'}; not tried: {not_tried or 'none'}")
    return "\n".join(lines)


def _remedy(failed: FailedPatch) -> str:
    kinds = {hunk.diagnosis for hunk in failed.hunks}
    if kinds == {Diagnosis.ALREADY_APPLIED}:
        return "the base holds this patch already: choose an older base, or a series without it"
    if Diagnosis.CORRUPT in kinds:
        return "fetch the mail again, in raw form"
    return "choose the base the series was made for with --base, or rebase the series"
