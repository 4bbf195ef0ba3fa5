from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.experiment import preflight as module
from lab.experiment.cells import checked_cells
from lab.experiment.preflight import checked_arms
from lab.testing import RecordingProgress
from tests.unit.experiment.made_up import arms, loaded_job
from tests.unit.experiment.test_job import GOOD


def test_warnings_are_said_and_go_with_the_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that every report shows them: what differs, what a binary changes, what the series cannot change."""
    monkeypatch.setattr(module, "require_capabilities", lambda *_: ("another dialect",))
    series = cast("Any", SimpleNamespace(files=("hw/block/virtio-blk.c",)))
    given = replace(arms(), series=series, warnings=("forced",))
    progress = RecordingProgress()
    loaded = loaded_job(tmp_path, GOOD)
    cells, _ = checked_cells(loaded, loaded.profile(None)[1])
    forced, dialect, unseen = checked_arms(loaded, cells, given, "tcg", progress).warnings
    assert (forced, dialect) == ("forced", "another dialect") and "no change can be its doing" in unseen
    assert progress.lines == [f"warning: {dialect}", f"warning: {unseen}"]


def test_good_arms_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a series that the job sees, or none at all."""
    monkeypatch.setattr(module, "require_capabilities", lambda *_: ())
    loaded, progress = loaded_job(tmp_path, GOOD), RecordingProgress()
    seen = replace(arms(), series=cast("Any", SimpleNamespace(files=("hw/scsi/virtio-scsi.c",))))
    for given in (arms(), seen):
        assert checked_arms(loaded, (), given, "tcg", progress) == given
    assert not progress.lines
