"""How the host is set while runs are under way, against a tree of settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import HostError
from lab.experiment import host_state
from lab.experiment.host_state import check_tuning, host_settings
from lab.host.cpu_plan import Threads
from lab.host.cpu_plan_choice import plan_cpus, plan_nothing
from lab.host.topology import BlockDevice
from lab.host.tuning import propose, tune
from lab.host.tuning_journal import JournalFile
from lab.testing import RecordingProgress
from tests.unit.experiment.bed import EIGHT
from tests.unit.host.tuning_tree import THP, KernelTree, snapshot, write_tree

AT = "2026-01-02T03:04:05+00:00"
IRQ = "proc/irq/40/smp_affinity_list"
NO_PLAN = plan_nothing(EIGHT, Threads(1))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a tree of settings on which we are root."""
    monkeypatch.setattr(host_state, "HostControls", KernelTree)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return write_tree(tmp_path)


def _tuned(root: Path, *, for_run: bool) -> None:
    controls = KernelTree(root)
    tune(controls, JournalFile(root), propose(controls).entries, at=AT, for_run=for_run)


@pytest.mark.parametrize("wanted", [True, False])
def test_what_a_killed_run_left_is_put_back_first(root: Path, wanted: bool) -> None:
    """With and without tuning: nobody asked for a tuned host."""
    before, progress = snapshot(root), RecordingProgress()
    _tuned(root, for_run=True)
    check_tuning(tune=wanted, progress=progress, root=root)
    assert snapshot(root) == before
    said = "a run that was killed had left the host tuned; what was put back: governor, nmi-watchdog, thp, turbo"
    assert progress.lines == [said]


def test_a_host_that_was_tuned_by_hand_is_not_tuned_for_a_run(root: Path) -> None:
    """Its journal has to be worked off first; a run that does not tune goes ahead and leaves it."""
    _tuned(root, for_run=False)
    with pytest.raises(HostError, match="has not been restored") as caught:
        check_tuning(tune=True, progress=RecordingProgress(), root=root)
    assert "lab host restore" in caught.value.remedy
    check_tuning(tune=False, progress=RecordingProgress(), root=root)
    assert JournalFile(root).load() is not None


def test_only_root_is_told_that_it_may(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the builds."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(HostError, match="only root"):
        check_tuning(tune=True, progress=RecordingProgress(), root=root)
    check_tuning(tune=False, progress=RecordingProgress(), root=root)


def test_a_journal_that_cannot_be_read_stops_only_who_tunes(root: Path) -> None:
    """A run that changes nothing can do without it, and says so."""
    JournalFile(root).path.parent.mkdir(parents=True)
    JournalFile(root).path.write_text("torn")
    progress = RecordingProgress()
    check_tuning(tune=False, progress=progress, root=root)
    assert "journal of the host's tuning cannot be read" in progress.lines[0]
    with pytest.raises(HostError, match="cannot be read"):
        check_tuning(tune=True, progress=progress, root=root)


def test_without_tuning_the_host_is_only_looked_at(root: Path) -> None:
    """One line says what is not as the profile has it."""
    before, progress = snapshot(root), RecordingProgress()
    with host_settings(NO_PLAN, tune=False, progress=progress, root=root) as settings:
        assert settings.knobs["thp"] == "madvise"
    assert snapshot(root) == before
    assert len(progress.lines) == 1 and progress.lines[0].startswith("the host is not tuned: ")


def test_with_tuning_the_host_is_put_back_in_the_end(root: Path) -> None:
    """And said to be."""
    before, progress = snapshot(root), RecordingProgress()
    with host_settings(NO_PLAN, tune=True, progress=progress, root=root) as settings:
        assert settings.knobs["thp"] == KernelTree(root).read(THP) == "never"
        assert KernelTree(root).read(IRQ) == "0-3"
    assert snapshot(root) == before
    assert progress.lines[0].startswith("the host was tuned by the lab at ")
    assert progress.lines[0].endswith("put back after the last run")


def test_interrupts_of_the_measured_device_keep_off_the_threads(root: Path) -> None:
    """They go to CPUs that the plan leaves free, and back again."""
    plan = plan_cpus(EIGHT, Threads(4, ("iothread0",)), device=BlockDevice("sda", 0, (40,)))
    before = snapshot(root)
    with host_settings(plan, tune=True, progress=RecordingProgress(), root=root):
        assert KernelTree(root).read(IRQ) == "0,7"
        assert {0, 7} == plan.irq_cpus and not plan.irq_cpus & plan.planned
    assert snapshot(root) == before


def test_interrupts_that_the_kernel_manages_are_recorded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue per CPU, as NVMe has: they are served where the request was sent."""
    controls = KernelTree(root)
    controls.managed = frozenset({IRQ})
    monkeypatch.setattr(host_state, "HostControls", lambda _root: controls)
    plan = plan_cpus(EIGHT, Threads(4, ("iothread0",)), device=BlockDevice("sda", 0, (40,)))
    with host_settings(plan, tune=True, progress=RecordingProgress(), root=root) as settings:
        assert settings.refused == (IRQ,)
