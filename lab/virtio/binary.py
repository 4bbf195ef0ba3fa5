"""A path to a QEMU that can be started, or a sentence that says why it is none."""

from __future__ import annotations

import os
from pathlib import Path

from lab.command import run
from lab.errors import InputError, StageError

_VERSION_S = 30.0
_GREETING = "QEMU emulator version"


def require_qemu(path: Path) -> Path:
    """Return the absolute path of a QEMU.

    Absolute, because a name without a slash would be looked for on PATH, where another may have it.

    :raise InputError: it cannot be executed, or is something else.
    """
    path = path.absolute()
    remedy = "give a qemu-system-x86_64"
    if not os.access(path, os.X_OK):
        raise InputError(f"{path} cannot be executed", remedy=remedy)
    try:
        said = run([str(path), "--version"], timeout_s=_VERSION_S, check=False).stdout
    except StageError as err:
        raise InputError(f"{path} is not a QEMU: {err.message}", remedy=remedy) from err
    if not said.startswith(_GREETING):
        raise InputError(f"{path} is not a QEMU: it does not answer --version as one", remedy=remedy)
    return path
