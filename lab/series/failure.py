"""A patch that git refuses, and the tree it was refused by, to diagnoses: reads files and history, decides little."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lab.series.diagnosis import Diagnosis, HunkDiagnosis, diagnose_hunk
from lab.series.diff import FileDiff, Hunk, files_from_diff
from lab.series.repository import Repository
from lab.series.series import Patch

_CORRUPT = re.compile(
    r"(?:corrupt patch|garbage|without header|malformed|unrecognized input|No valid patches)", re.IGNORECASE
)
_AT_LINE = re.compile(r"at (?:<stdin>:|line )(\d+)")


def diagnose_patch(repository: Repository, commit: str, patch: Patch, complaint: str) -> tuple[HunkDiagnosis, ...]:
    """Return why each hunk of a patch does not fit a commit.

    :param complaint: what ``git apply`` said; shown where nothing else explains the refusal.
    """
    tree_id = repository.tree_id(commit)
    files = files_from_diff(patch.diff.decode(errors="replace"))
    found = [diagnosis for file in files for diagnosis in _diagnose_file(repository, commit, tree_id, file)]
    if _CORRUPT.search(complaint) and not any(item.diagnosis is Diagnosis.CORRUPT for item in found):
        line = _AT_LINE.search(complaint)
        found.append(
            HunkDiagnosis(
                patch.files[0] if patch.files else "", int(line.group(1)) if line else 0, Diagnosis.CORRUPT, complaint
            )
        )
    if not found:
        path = patch.files[0] if patch.files else ""
        found.append(HunkDiagnosis(path, 0, Diagnosis.REFUSED, complaint))
    return tuple(found)


def _diagnose_file(repository: Repository, commit: str, tree_id: str, file: FileDiff) -> Iterator[HunkDiagnosis]:
    if file.old_path is None:
        yield from _diagnose_new_file(repository, tree_id, file)
        return
    text = repository.text(tree_id, file.old_path)
    if text is None:
        diagnosis, detail = _diagnose_missing(repository, commit, tree_id, file)
        for hunk in file.hunks or (Hunk(0, 0, 0, ()),):
            yield HunkDiagnosis(file.old_path, hunk.old_start, diagnosis, detail)
        return
    lines = _lines(text)
    for hunk in file.hunks:
        result = diagnose_hunk(hunk, lines)
        if result is None:
            continue
        diagnosis, detail = result
        if diagnosis is Diagnosis.CONFLICT and _blob_age(repository, commit, tree_id, file) == "foreign":
            diagnosis = Diagnosis.WRONG_BASE
        line = hunk.line if diagnosis is Diagnosis.CORRUPT else hunk.old_start
        yield HunkDiagnosis(file.old_path, line, diagnosis, detail)


def _diagnose_new_file(repository: Repository, tree_id: str, file: FileDiff) -> Iterator[HunkDiagnosis]:
    path = file.new_path or ""
    text = repository.text(tree_id, path)
    for hunk in file.hunks:
        if hunk.is_cut_off:
            detail = f"the hunk at line {hunk.line} of the patch is not as long as its header says"
            yield HunkDiagnosis(path, hunk.line, Diagnosis.CORRUPT, detail)
    if text is not None:
        made = [line for hunk in file.hunks for line in hunk.new_lines]
        if made == _lines(text):
            yield HunkDiagnosis(path, 1, Diagnosis.ALREADY_APPLIED, "the file it makes is there, with the same content")
        else:
            yield HunkDiagnosis(path, 1, Diagnosis.FILE_EXISTS, "the file it makes is there, with another content")


def _lines(text: str) -> list[str]:
    return [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")] if text else []


def _diagnose_missing(repository: Repository, commit: str, tree_id: str, file: FileDiff) -> tuple[Diagnosis, str]:
    path = file.old_path or ""
    if file.new_path is None:
        return Diagnosis.ALREADY_APPLIED, "the file it deletes is not there"
    if file.new_path != path and repository.text(tree_id, file.new_path) is not None:
        return Diagnosis.ALREADY_APPLIED, f"the file it renames has its new name {file.new_path}"
    paths = repository.paths(tree_id)
    renamed, removed_by = _rename_in_history(repository, commit, path)
    if renamed in paths:
        return Diagnosis.FILE_RENAMED, f"it is called {renamed} since {removed_by}"
    name = path.rsplit("/", 1)[-1]
    likely = [other for other in paths if other.rsplit("/", 1)[-1] == name]
    if likely:
        return Diagnosis.FILE_RENAMED, f"there is no such file; likely it is {' or '.join(likely[:3])}"
    if removed_by:
        return Diagnosis.FILE_MISSING, f"it was removed by {removed_by}"
    return Diagnosis.FILE_MISSING, "there is no such file, nor one of that name in another folder"


def _rename_in_history(repository: Repository, commit: str, path: str) -> tuple[str, str]:
    """Return the new name of a file that history took away (or nothing), and the commit that did it."""
    gone = repository.git(
        "log", "-1", "--format=%h %s", "--no-renames", "--diff-filter=D", commit, "--", path, check=False
    )
    removed_by = gone.stdout.strip()
    if not removed_by:
        return "", ""
    words = ("diff-tree", "-r", "-M", "-z", "--diff-filter=R", "--name-status", "--no-commit-id", removed_by.split()[0])
    fields = repository.git(*words, check=False).stdout.split("\0")
    renames = dict(zip(fields[1::3], fields[2::3], strict=False))
    return renames.get(path, ""), removed_by


def _blob_age(repository: Repository, commit: str, tree_id: str, file: FileDiff) -> str:
    """Tell which content a patch was made for: the ``same`` as in the tree, ``older``, ``foreign`` or ``unknown``."""
    if not file.old_blob or not file.old_path:
        return "unknown"
    now = repository.git("rev-parse", "--verify", f"{tree_id}:{file.old_path}", check=False).stdout.strip()
    if now.startswith(file.old_blob):
        return "same"
    blob = repository.git("rev-parse", "--quiet", "--verify", f"{file.old_blob}^{{blob}}", check=False).stdout.strip()
    if not blob:
        return "foreign"
    words = ("log", "-1", "--format=%h", f"--find-object={blob}", commit, "--", file.old_path)
    return "older" if repository.git(*words, check=False).stdout.strip() else "foreign"


def reasons_of_base(repository: Repository, commit: str, patch: Patch) -> tuple[str, ...]:
    """Return sentences about the base a patch was made for: other contents than there are."""
    tree_id = repository.tree_id(commit)
    ages = {
        file.path: _blob_age(repository, commit, tree_id, file)
        for file in files_from_diff(patch.diff.decode(errors="replace"))
    }
    reasons = []
    for age, sentence in (
        ("older", "it was made for an older base, where these files had another content"),
        ("foreign", "it was made for a base that is not in this history: these files have a content never seen here"),
    ):
        files = [path for path, this in ages.items() if this == age]
        if files:
            reasons.append(f"{sentence}: {', '.join(files)}")
    return tuple(reasons)
