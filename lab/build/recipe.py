"""The options every build has, the argv they make, and the key that names a build. Pure.

Format history of the key:

1. first version.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from lab.build.toolchain import Toolchain

BUILDER_FORMAT = 1
TARGETS = ("qemu-system-x86_64", "qemu-img")

CONFIGURE_OPTIONS = (
    "--target-list=x86_64-softmmu",
    # The least that the lab needs: a cold build is what a user waits for.
    "--without-default-features",
    "--enable-system",
    "--enable-tools",
    "--enable-tcg",
    "--enable-kvm",
    "--enable-linux-aio",
    "--enable-linux-io-uring",
    "--enable-numa",
    "--enable-slirp",
    "--disable-install-blobs",
    "--disable-docs",
    # No -g: a tenth less time and 28 instead of 73 MB; symbols stay, which is what profilers need.
    "--disable-debug-info",
    "--enable-trace-backends=log",
)
"""Options of ``configure`` that make a build what it is. Optimisation is QEMU's default, -O2."""

CONFIGURE_INPUTS = (
    "configure",
    "pythondeps.toml",
    "python/scripts/mkvenv.py",
    "scripts/meson-buildoptions.sh",
    "configs",
    "VERSION",
)
"""What ``configure`` itself is made of: ninja notices a change of anything else (QEMU's Makefile has this list)."""


def configure_argv(source: Path, python: Path, *, may_download: bool) -> tuple[str, ...]:
    """Return the argv of configure.

    :param python: an interpreter that has meson and pycotap.
    :param may_download: where the tree lacks its subprojects, and meson has to fetch them.
    """
    download = () if may_download else ("--disable-download",)
    return (str(source / "configure"), f"--python={python}", *CONFIGURE_OPTIONS, *download)


def build_key(tree_id: str, toolchain: Toolchain, *, extra: str = "") -> str:
    """Return the key of a build: the same for the same tree, options, compiler, libraries and environment.

    :param extra: digest of files that are not in the tree but are built (subprojects); empty where there are none.
    """
    return _digest({**_common(toolchain), "tree_id": tree_id, "extra": extra})


def area_key(origin: str, toolchain: Toolchain) -> str:
    """Return the name of the work area where the builds of one origin share their objects."""
    return _digest({**_common(toolchain), "origin": origin})[:24]


def _common(toolchain: Toolchain) -> dict[str, object]:
    return {
        "format": BUILDER_FORMAT,
        "options": list(CONFIGURE_OPTIONS),
        "targets": list(TARGETS),
        "toolchain": toolchain.key_facts(),
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:40]
