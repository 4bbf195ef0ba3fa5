"""Where the lab keeps things. Read from the environment when asked for, never at import time.

``LAB_CACHE`` moves the cache (sources, builds, images, downloads); everything in it can be made again. ``LAB_STATE``
moves what cannot: named baselines, and what is known of this host's noise.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from lab.errors import HostError


def cache_dir(*parts: str) -> Path:
    """Return a folder of the cache, made if need be.

    :param parts: path below the cache's root, for example ``"builds"``.
    :raise HostError: it cannot be made.
    """
    root = os.environ.get("LAB_CACHE")
    try:
        base = Path(root).expanduser().absolute() if root else Path(platformdirs.user_cache_dir("qemu-patch-lab"))
    except RuntimeError as err:  # pathlib's for a user without a home
        raise HostError(
            f"LAB_CACHE is '{root}', and nobody knows that home folder", remedy="set LAB_CACHE to an absolute path"
        ) from err
    folder = base.joinpath(*parts)
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
    root = os.environ.get("LAB_STATE")
    try:
        base = Path(root).expanduser().absolute() if root else Path(platformdirs.user_state_dir("qemu-patch-lab"))
    except RuntimeError as err:  # pathlib's for a user without a home
        raise HostError(
            f"LAB_STATE is '{root}', and nobody knows that home folder", remedy="set LAB_STATE to an absolute path"
        ) from err
    return base.joinpath(*parts)


def project_dir() -> Path:
    """Return the checkout that ``lab`` was installed from: the folder that holds ``jobs/`` and ``guest-images/``."""
    return Path(__file__).resolve().parent.parent
