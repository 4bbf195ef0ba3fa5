"""A machine's folder to the evidence that is kept of it: logs, trace, what the watchdog found, and the story."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from lab.errors import InputError

_KEPT = (".log", ".txt", ".json")


def keep_evidence(
    folder: Path, target: Path, *, command_line: str, story_file: str, story: Mapping[str, object]
) -> Path:
    """Copy what tells about a machine to a folder of its own, in place of an earlier attempt's, and return that.

    :param command_line: of QEMU, for ``command-line.txt``.
    :param story_file: name of the file for ``story``: what was done and what is wrong with it.
    :raise InputError: something else is there; nothing of somebody else's is removed.
    """
    if target.is_symlink() or (target.exists() and not (target / story_file).is_file()):
        raise InputError(f"{target} is there, and is no earlier evidence", remedy="name a new folder for the evidence")
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.suffix in _KEPT:
            shutil.copyfile(file, target / file.name)
    (target / "command-line.txt").write_text(command_line + "\n", encoding="utf-8")
    (target / story_file).write_text(json.dumps(story, indent=2) + "\n", encoding="utf-8")
    return target
