"""The commits of the user's tree to what a series names others by: patch-ids and message-ids.

Only commits with one parent count: a merge is no patch, and the diff of an imported source's only commit is the whole
source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lab.scratch import scratch_folder
from lab.series.diff import files_from_diff
from lab.series.message_id import message_id_from_text
from lab.series.patch import patch_id_of
from lab.series.repository import Repository, run_git
from lab.series.series import Patch

SEARCHED_COMMITS = 3000
"""The newest of each search; QEMU takes about half a year for so many."""

_REFS = ("refs/heads", "refs/tags", "refs/remotes")
_NAMES_A_MAIL = re.compile(r"^(?:Message-Id|Link):[ \t]*(\S.*)$", re.MULTILINE | re.IGNORECASE)
_DIFF = ("-p", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color")


def tips_of(tree: Path) -> tuple[str, ...]:
    """Return what every branch, tag and remote branch of the user's tree names; nothing where git cannot tell."""
    found = run_git("-C", tree, "for-each-ref", "--format=%(objectname)", *_REFS, check=False)
    return tuple(dict.fromkeys(found.stdout.split()))


@dataclass(frozen=True)
class History:
    """The newest commits that can be reached from some and not from others.

    :param repository: sees their objects.
    :param tips: where the search begins; what is no commit there, or missing, counts as nothing.
    :param without: a commit whose history is left out.
    """

    repository: Repository
    tips: tuple[str, ...]
    without: str = ""

    @cached_property
    def by_patch_id(self) -> dict[str, str]:
        """The newest commit of each patch-id, as ``git patch-id --stable`` has it."""
        with scratch_folder() as folder:
            diffs = folder / "diffs"
            # To a file: diffs hold bytes of any charset, and one that is decoded and encoded again has another id.
            self._log("--format=commit %H", *_DIFF, f"--output={diffs}")
            raw = diffs.read_bytes() if diffs.is_file() else b""
        said = self.repository.git("patch-id", "--stable", stdin=raw, check=False).stdout
        return _first_of_each(line.partition(" ")[::2] for line in said.splitlines())

    @cached_property
    def by_message_id(self) -> dict[str, str]:
        """The newest commit of each mail that a ``Message-Id:`` or ``Link:`` of a commit message names, newest first.

        QEMU's maintainers have their tools add it (docs/devel/submitting-a-pull-request.rst, ``git am -m``).
        """
        entries = (entry.partition("\n") for entry in self._log("-z", "--format=%H%n%B").split("\0"))
        return _first_of_each(
            (message_id, commit)
            for commit, _, message in entries
            for message_id in map(message_id_from_text, _NAMES_A_MAIL.findall(message))
        )

    def _log(self, *words: str) -> str:
        """Return what ``git log`` says; of a tree that lacks objects, as far as it gets."""
        if not self.tips:
            return ""
        spans = [*self.tips, *([f"^{self.without}"] if self.without else [])]
        limits = ("--topo-order", f"--max-count={SEARCHED_COMMITS}", "--min-parents=1", "--max-parents=1")
        asked = ("log", *limits, *words, "--ignore-missing", "--stdin")
        return self.repository.git(*asked, stdin="\n".join([*spans, ""]).encode(), check=False).stdout


def _first_of_each(pairs: Iterator[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, commit in pairs:
        if name and commit:
            found.setdefault(name, commit)
    return found


def patch_from_commit(repository: Repository, commit: str, index: int) -> Patch:
    """Return what a commit of the tree changes, byte for byte, with its author and message.

    :raise CommandError: git cannot read it.
    """
    facts = repository.git("log", "-1", "--no-color", "--format=%an <%ae>%x00%aD%x00%s%x00%B", commit).stdout
    author, date, subject, message = facts.split("\0", 3)
    with scratch_folder() as folder:
        file = folder / "diff"
        repository.git("diff-tree", "--no-commit-id", *_DIFF, "--binary", f"--output={file}", commit)
        diff = file.read_bytes()
    return Patch(
        index=index,
        subject=subject,
        author=author,
        date=date,
        message_id="",
        patch_id=patch_id_of(diff),
        files=tuple(dict.fromkeys(file.path for file in files_from_diff(diff.decode(errors="replace")))),
        message=message.rstrip("\n") + "\n",
        diff=diff,
    )
