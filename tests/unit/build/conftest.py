"""Every test of lab/build has a cache of its own, and a toolchain that needs no probing."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.build import builder
from tests.unit.build.fake_tree import TOOLCHAIN


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache of this test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("LAB_CACHE", str(folder))
    monkeypatch.setattr(builder, "probe_toolchain", lambda: TOOLCHAIN)
    return folder
