"""The demonstration series made longer: four patches, of which the third plants the slowdown.

Its neighbours are harmless: the first adds a header that nobody includes, the second includes it, the fourth adds a
text. Written from the files of the demonstration, so that the planted code exists once.
"""

from __future__ import annotations

import re
from pathlib import Path

from lab.settings import project_dir

PLANTED = 3
SUBJECTS = (
    "virtio-scsi: add a busy wait",
    "virtio-scsi: include the busy wait",
    "virtio-scsi: wait in each command request",
    "virtio-scsi: describe the busy wait",
)

_DEMONSTRATION = project_dir() / "jobs" / "series" / "virtio-scsi-busy-wait"
_NOTE = """\
diff --git a/hw/scsi/virtio-scsi-busy-wait.txt b/hw/scsi/virtio-scsi-busy-wait.txt
new file mode 100644
--- /dev/null
+++ b/hw/scsi/virtio-scsi-busy-wait.txt
@@ -0,0 +1 @@
+A known slowdown, for testing benchmarks.
"""


def write_longer_series(folder: Path, *, wait_ns: int | None = None) -> Path:
    """Write the series as mails into a folder and return it.

    :param wait_ns: CPU time that each request costs more, 50 us if left out.
    """
    header, change = (_diff_of(path) for path in sorted(_DEMONSTRATION.glob("000[12]-*.patch")))
    if wait_ns is not None:
        header = re.sub(r"BUSY_WAIT_NS \(50 \* 1000\)", f"BUSY_WAIT_NS ({wait_ns})", header)
    head, include, call = re.split(r"(?m)^(?=@@)", change)
    # The include has moved what follows it down by a line.
    call = re.sub(r"@@ -(\d+),", lambda match: f"@@ -{int(match.group(1)) + 1},", call)
    diffs = (header, head + include, head + call, _NOTE)
    folder.mkdir(parents=True, exist_ok=True)
    for number, (subject, diff) in enumerate(zip(SUBJECTS, diffs, strict=True), start=1):
        (folder / f"{number:04d}.patch").write_text(_mail(number, subject, diff))
    return folder


def _diff_of(mail: Path) -> str:
    text = mail.read_text()
    return text[text.index("diff --git") :]


def _mail(number: int, subject: str, diff: str) -> str:
    return (
        "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"
        f"Message-Id: <20260106090000.1-{number + 1}-lab@example.org>\n"
        "From: QEMU patch lab <lab@example.org>\n"
        "Date: Tue, 6 Jan 2026 09:00:00 +0000\n"
        f"Subject: [PATCH {number}/{len(SUBJECTS)}] {subject}\n\n"
        f"For testing benchmarks, never for merging.\n---\n\n{diff}-- \n2.39.5\n"
    )
