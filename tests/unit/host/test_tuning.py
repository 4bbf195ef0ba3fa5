"""Tuning: journal first, then changes; back again whatever happens."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import ExitCode, HostError, InputError
from lab.host.tuning import propose, restore, tune
from lab.host.tuning_controls import ControlError
from lab.host.tuning_journal import JOURNAL, JournalFile
from lab.host.tuning_knobs import irq_entries, survey
from tests.unit.host.tuning_tree import BOOT_ID, CPU, SMT, THP, KernelTree, KilledError, snapshot, write_tree

AT = "2026-01-02T03:04:05+00:00"
EVERYTHING = ("governor", "turbo", "thp", "nmi-watchdog", "cstates=shallow", "smt=off")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a tree of settings."""
    return write_tree(tmp_path)


def _tune(root: Path, wanted: tuple[str, ...] = (), controls: KernelTree | None = None) -> None:
    controls = controls or KernelTree(root)
    tune(controls, JournalFile(root), propose(controls, wanted).entries, at=AT)


def test_profile_sets_what_the_host_has(root: Path) -> None:
    """The profile sets every knob that the host has and says which it has not."""
    proposal = propose(KernelTree(root))
    assert {entry.knob for entry in proposal.entries} == {"governor", "turbo", "thp", "nmi-watchdog"}
    assert [line.partition(":")[0] for line in proposal.skipped] == ["irqbalance"]
    _tune(root)
    assert (root / THP).read_text() == "always madvise [never]\n"
    assert (root / CPU / "intel_pstate/no_turbo").read_text() == "1\n"
    assert {(root / CPU / f"cpufreq/policy{n}/scaling_governor").read_text() for n in range(4)} == {"performance\n"}
    assert all(state.is_tuned for state in survey(KernelTree(root)))


def test_settings_come_back(root: Path) -> None:
    """Restoring gives the same tree, governors that differed from each other and all, and no journal."""
    before = snapshot(root)
    _tune(root, EVERYTHING)
    assert snapshot(root) != before
    restore(KernelTree(root), JournalFile(root))
    assert snapshot(root) == before
    assert not (root / JOURNAL).exists()
    assert restore(KernelTree(root), JournalFile(root)) == ()


def test_journal_is_on_disk_before_the_first_change(root: Path) -> None:
    """A process killed at its first write has left a journal of everything it was going to change."""
    with pytest.raises(KilledError):
        _tune(root, (), KernelTree(root, die_at=1))
    journal = JournalFile(root).load()
    assert journal is not None and journal.boot_id == "boot-1" and journal.at == AT
    assert set(journal.entries) == set(propose(KernelTree(root)).entries)


def test_tuned_host_is_not_tuned_again(root: Path) -> None:
    """As long as there is a journal nothing is tuned, and the remedy is to restore."""
    _tune(root, ("thp",))
    with pytest.raises(HostError, match="was tuned at 2026") as caught:
        _tune(root, ("governor",))
    assert "lab host restore" in caught.value.remedy


def test_nothing_to_change_leaves_no_journal(root: Path) -> None:
    """A host that is as wanted is not tuned."""
    _tune(root, ("thp=madvise",))
    assert not (root / JOURNAL).exists()


def test_refused_write_puts_back_what_was_written(root: Path) -> None:
    """When a write in the middle is refused, the tree is as it was, and there is no journal."""
    before = snapshot(root)
    with pytest.raises(HostError, match="everything that had been changed was put back") as caught:
        _tune(root, EVERYTHING, KernelTree(root, refuse=5))
    assert snapshot(root) == before and not (root / JOURNAL).exists()
    assert caught.value.exit_code is ExitCode.HOST


def test_refused_write_that_cannot_be_undone_keeps_the_journal(root: Path) -> None:
    """When putting back is refused as well, the journal stays, and restoring works once the cause is gone."""
    before = snapshot(root)
    with pytest.raises(HostError, match="could not be put back") as caught:
        _tune(root, EVERYTHING, KernelTree(root, refuse_after=4))
    assert "lab host restore" in caught.value.remedy and caught.value.evidence == root / JOURNAL
    restore(KernelTree(root), JournalFile(root))
    assert snapshot(root) == before


def test_value_that_does_not_stay_is_a_refusal(root: Path) -> None:
    """A kernel that takes a write and shows another value has not done what was asked."""

    class Deaf(KernelTree):
        def write(self, target: str, value: str) -> None:
            """Do nothing."""

    with pytest.raises(HostError, match="was set to 'never' and reads 'madvise'"):
        _tune(root, ("thp",), Deaf(root))


def test_interrupt_puts_everything_back(root: Path) -> None:
    """Ctrl-C in the middle of tuning leaves the tree as it was, and stays Ctrl-C."""

    class Interrupted(KernelTree):
        def write(self, target: str, value: str) -> None:
            """Be interrupted once."""
            if self.writes == 3:
                self.writes += 1
                raise KeyboardInterrupt
            super().write(target, value)

    before = snapshot(root)
    with pytest.raises(KeyboardInterrupt):
        _tune(root, EVERYTHING, Interrupted(root))
    assert snapshot(root) == before and not (root / JOURNAL).exists()


@settings(max_examples=30, deadline=None)
@given(
    die_at=st.integers(1, 25),
    die_late=st.booleans(),
    deaths=st.lists(st.tuples(st.integers(1, 25), st.booleans()), max_size=3),
    wanted=st.lists(st.sampled_from(EVERYTHING), min_size=1, unique=True),
)
def test_tree_is_the_same_after_any_death(
    die_at: int, die_late: bool, deaths: list[tuple[int, bool]], wanted: list[str]
) -> None:
    """Killed at any write of tuning, and at any write of some restorings, the last restoring gives the same tree."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_tree(Path(folder))
        before = snapshot(root)
        try:
            _tune(root, tuple(wanted), KernelTree(root, die_at=die_at, die_late=die_late))
        except KilledError:
            assert (root / JOURNAL).exists()
        for restore_dies_at, late in deaths:
            try:
                restore(KernelTree(root, die_at=restore_dies_at, die_late=late), JournalFile(root))
            except KilledError:
                assert (root / JOURNAL).exists()
        restore(KernelTree(root), JournalFile(root))
        assert snapshot(root) == before
        assert not (root / JOURNAL).exists()


def test_reboot_has_put_things_back_itself(root: Path) -> None:
    """After a reboot, what it reset to the old value or to a third one is recognised; what still stands is put back."""
    _tune(root, ("turbo", "thp", "nmi-watchdog"))
    (root / BOOT_ID).write_text("boot-2\n")
    (root / THP).write_text("always [madvise] never\n")
    (root / "proc/sys/kernel/nmi_watchdog").write_text("2\n")
    done = {one.entry.knob: one.how for one in restore(KernelTree(root), JournalFile(root))}
    assert done == {
        "thp": "is 'madvise' again since the reboot",
        "nmi-watchdog": "was reset to '2' by the reboot, and left there",
        "turbo": "'1' back to '0'",
    }
    assert (root / CPU / "intel_pstate/no_turbo").read_text() == "0\n" and not (root / JOURNAL).exists()


def test_setting_that_went_with_the_reboot_is_forgotten(root: Path) -> None:
    """Another kernel may not have a setting at all: there is nothing to put back."""
    _tune(root, ("thp",))
    (root / BOOT_ID).write_text("boot-2\n")
    (root / THP).unlink()
    (done,) = restore(KernelTree(root), JournalFile(root))
    assert done.how == "went with the reboot" and done.ok


def test_setting_that_is_away_keeps_the_journal(root: Path) -> None:
    """A CPU that somebody took offline has no settings: the others are put back and the journal waits for it."""
    before = snapshot(root)
    _tune(root, ("governor", "thp"))
    policy = root / CPU / "cpufreq/policy3"
    policy.rename(policy.with_name("away"))
    with pytest.raises(HostError, match=r"1 of 5 .*policy3") as caught:
        restore(KernelTree(root), JournalFile(root))
    assert "offline" in caught.value.remedy and "--forget" in caught.value.remedy
    assert (root / THP).read_text() == before[THP]
    policy.with_name("away").rename(policy)
    restore(KernelTree(root), JournalFile(root))
    assert snapshot(root) == before


def test_somebody_elses_change_is_undone_too(root: Path) -> None:
    """Within the same boot restoring means: as before the tuning."""
    before = snapshot(root)
    _tune(root, ("thp",))
    KernelTree(root).write(THP, "always")
    restore(KernelTree(root), JournalFile(root))
    assert snapshot(root) == before


def test_value_that_does_not_come_back_is_reported(root: Path) -> None:
    """A kernel that takes the old value and shows another has not put it back."""
    _tune(root, ("thp",))

    class Deaf(KernelTree):
        def write(self, target: str, value: str) -> None:
            """Do nothing."""

    with pytest.raises(HostError, match="set to 'madvise' and reads 'never'"):
        restore(Deaf(root), JournalFile(root))
    assert (root / JOURNAL).exists()


def test_smt_is_switched_last_and_back_first(root: Path) -> None:
    """The siblings that go away with SMT have their settings changed before and put back after."""
    entries = propose(KernelTree(root), ("smt=off", "governor")).entries
    assert [entry.target for entry in entries][-1] == SMT
    _tune(root, ("smt=off", "governor"))
    assert not (root / CPU / "cpufreq/policy2").exists()
    assert restore(KernelTree(root), JournalFile(root))[0].entry.target == SMT


def test_interrupts_that_the_kernel_manages_are_left(root: Path) -> None:
    """An optional setting that is refused does not undo the others."""
    controls = KernelTree(root)
    controls.managed = frozenset({"proc/irq/40/smp_affinity_list"})
    entries = (*irq_entries(controls, (40,), (0, 1)), *propose(controls, ("thp",)).entries)
    refused = tune(controls, JournalFile(root), entries, at=AT)
    assert [entry.target for entry in refused] == ["proc/irq/40/smp_affinity_list"]
    assert (root / THP).read_text() == "always madvise [never]\n"


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (("gouvernor",), "no knob 'gouvernor'"),
        (("thp=sometimes",), "'thp=sometimes' does not say what thp is to be"),
        (("smt",), "'smt' does not say what smt is to be"),
        (("thp", "thp=always"), "named twice"),
    ],
)
def test_wish_that_cannot_be_read_is_refused(root: Path, wanted: tuple[str, ...], why: str) -> None:
    """A word that is no knob, or no value of it, is the caller's mistake."""
    with pytest.raises(InputError, match=why) as caught:
        propose(KernelTree(root), wanted)
    assert caught.value.remedy


def test_knob_that_was_named_has_to_be_there(root: Path) -> None:
    """The profile skips what a host lacks; what was asked for by name is an error."""
    with pytest.raises(HostError, match="has no irqbalance to set"):
        propose(KernelTree(root), ("irqbalance",))


def test_kernel_without_a_boot_id_is_not_tuned(root: Path) -> None:
    """Without it a reboot could not be recognised, so nothing is changed."""
    (root / BOOT_ID).unlink()
    before = snapshot(root)
    with pytest.raises(ControlError, match="boot_id cannot be read"):
        _tune(root)
    assert snapshot(root) == before and not (root / JOURNAL).exists()
