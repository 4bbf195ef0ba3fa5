"""The deadlock of aborting a task, planted into a real tree, and its removal as a one-patch series.

QEMU 10.0.0 to 10.0.6 cancelled requests while holding the lock that cancelling takes ("hw/scsi: avoid deadlock upon
TMF request cancelling with VirtIO", 6910f04aa646, in 10.0.7). A tree that has the fix gets the deadlock back by moving
the cancelling into the locked loop: what is looked for and put there is ours, and the rest stays in the tree.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from lab.build.source import SourceTree
from lab.series.repository import Repository

FILE = "hw/scsi/virtio-scsi.c"
_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "QEMU patch lab"), ("EMAIL", "lab@example.org"), ("DATE", "@1700000000 +0000"))
}
_COLLECTS = re.compile(r"scsi_req_ref\((\w+)\);\s*(\w+) = g_list_prepend\(\2, \1\);")
_CANCELS = "virtio_scsi_tmf_cancel_req(tmf, {request});"


def planted(source: SourceTree) -> tuple[SourceTree, str]:
    """Return the source with the deadlock in it, and the commit that takes it out again.

    :raise ValueError: the tree does not look as expected: it is too old, too new, or has the deadlock itself.
    """
    repository = source.repository
    text = repository.text(source.tree_id, FILE) or ""
    broken, count = _COLLECTS.subn(lambda found: _CANCELS.format(request=found.group(1)), text)
    if count != 1:
        raise ValueError(f"{FILE} collects requests {count} times, not once")
    base = _committed(repository, source.tree_id, source.commit, broken, "virtio-scsi: cancel under the lock")
    fixed = _committed(repository, repository.tree_id(base), base, text, "virtio-scsi: cancel after the lock")
    return replace(source, commit=base, tree_id=repository.tree_id(base), origin="the tree with a deadlock"), fixed


def posted(repository: Repository, base: str, topic: str, folder: Path) -> Path:
    """Return the commits after the base as format-patch files in a folder."""
    words = ("format-patch", "--quiet", f"--base={base}", f"--output-directory={folder}", f"{base}..{topic}")
    repository.git(*words, env=_IDENTITY)
    return folder


def _committed(repository: Repository, tree_id: str, parent: str, text: str, subject: str) -> str:
    with repository.index_of(tree_id) as index:
        blob = repository.git("hash-object", "-w", "--stdin", stdin=text.encode()).stdout.strip()
        repository.git("update-index", "--cacheinfo", f"100644,{blob},{FILE}", env=index)
        made = repository.git("write-tree", env=index).stdout.strip()
    message = f"{subject}\n\nMade by the lab's tests.\n\nSigned-off-by: QEMU patch lab <lab@example.org>\n"
    words = ("commit-tree", made, "-p", parent)
    return repository.git(*words, env=_IDENTITY, stdin=message.encode()).stdout.strip()
