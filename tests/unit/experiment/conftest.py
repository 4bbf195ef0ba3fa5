"""Locks of results folders lie in the cache: each test gets one of its own."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the cache below the test's folder."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
