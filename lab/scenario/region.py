"""The end of the loaded disk, with a content that is known: what tells of which moment an image is, and what was kept.

fio leaves it alone, and whatever copies a disk from its beginning on gets there last.
"""

from __future__ import annotations

import os
from pathlib import Path

from lab.scenario.stage import STEP_S, ScenarioError, Stage

REGION_BYTES = 1 << 16
"""What a backup copies at a time at least (BLOCK_COPY_CLUSTER_SIZE_DEFAULT of block/block-copy.c)."""
BEFORE, AFTER = "B", "A"
_CONTENT = "/region"
_DD = f"dd bs={REGION_BYTES} count=1"


class Region:
    """The last 64 KiB that the loaded disk had at first.

    :param stage: of the guest that writes it.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._block = stage.site.disk_file.stat().st_size // REGION_BYTES - 1

    def fill(self, letter: str) -> None:
        """Overwrite it from the guest; the disk has acknowledged that, and a flush of it, when this returns.

        :raise ScenarioError: it cannot be written.
        :raise StageError: the guest does not answer.
        """
        self._stage.shell.put(letter.encode() * REGION_BYTES, _CONTENT)
        command = f"{_DD} if={_CONTENT} of={self._stage.load.device} seek={self._block} oflag=direct conv=notrunc,fsync"
        done = self._stage.shell.run(command, timeout_s=STEP_S, check=False)
        if done.exited != 0:
            raise ScenarioError(f"the end of the disk cannot be written: {done.stderr.strip()[-300:]}")

    def in_image(self, image: Path) -> str | None:
        """Return the letter that a raw image has there, as this host sees it; None where it is another content."""
        with image.open("rb") as stream:
            return _letter(os.pread(stream.fileno(), REGION_BYTES, self._block * REGION_BYTES).decode("latin-1"))

    def in_guest(self) -> str | None:
        """Return the letter that the guest reads there, past its cache; None where it is another content.

        :raise StageError: the guest does not answer, or cannot read it.
        """
        command = f"{_DD} if={self._stage.load.device} skip={self._block} iflag=direct 2>/dev/null"
        return _letter(self._stage.shell.run(command, timeout_s=STEP_S).stdout)


def _letter(content: str) -> str | None:
    return content[0] if content and content == content[0] * REGION_BYTES else None
