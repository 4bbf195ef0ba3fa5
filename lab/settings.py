"""Where the lab keeps things. Read from the environment when asked for, never at import time.

``LAB_CACHE`` moves the cache (sources, builds, images, downloads); everything in it can be made again. ``LAB_STATE``
moves what cannot: named baselines, and what is known of this host's noise.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from lab.errors import HostError


def cache_dir(*parts: str) -> Path:
    """Return a folder of the cache, made if need be.

    :param parts: path below the cache's root, for example ``"builds"``.
    :raise HostError: it cannot be made.
    """
    folder = _root("LAB_CACHE", platformdirs.user_cache_dir).joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise HostError(
            f"the cache folder {folder} cannot be made: {err.strerror}",
            remedy="set LAB_CACHE to a folder that you may write to, with 10 GB of room",
        ) from err
    return folder


def state_path(*parts: str) -> Path:
    """Return a path below the folder of what must be kept; nothing is made.

    :param parts: path below its root, for example ``"baselines"``.
    :raise HostError: nobody knows where it is.
    """
    return _root("LAB_STATE", platformdirs.user_state_dir).joinpath(*parts)


def _root(variable: str, default: Callable[[str], str]) -> Path:
    named = os.environ.get(variable)
    try:
        return Path(named).expanduser().absolute() if named else Path(default("qemu-patch-lab"))
    except RuntimeError as err:  # pathlib's for a user without a home
        raise HostError(
            f"{variable} is '{named}', and nobody knows that home folder", remedy=f"set {variable} to an absolute path"
        ) from err


def project_dir() -> Path:
    """Return the checkout that ``lab`` was installed from: the folder that holds ``jobs/`` and ``guest-images/``."""
    return Path(__file__).resolve().parent.parent
