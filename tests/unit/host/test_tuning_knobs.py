"""Knobs: one meaning, several kernels' ways of setting it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import HostError, InputError
from lab.host.tuning_controls import ControlError
from lab.host.tuning_knobs import KNOBS, Knob, irq_entries, owner_of, survey
from tests.unit.host.tuning_tree import CPU, SMT, THP, KernelTree, write_tree


def _knob(name: str) -> Knob:
    return next(knob for knob in KNOBS if knob.name == name)


def _state(root: Path, name: str) -> str | None:
    return next(state.value for state in survey(KernelTree(root)) if state.knob.name == name)


def test_survey_reads_each_knob(tmp_path: Path) -> None:
    """Each knob shows its value, all that stand there where CPUs differ, or None."""
    write_tree(tmp_path)
    assert {state.knob.name: state.value for state in survey(KernelTree(tmp_path))} == {
        "governor": "powersave, schedutil",
        "turbo": "on",
        "thp": "madvise",
        "nmi-watchdog": "on",
        "irqbalance": None,
        "cstates": "all",
        "smt": "on",
    }


def test_missing_knob_says_why(tmp_path: Path) -> None:
    """On a host without any, each knob has its reason, and none is left to tune."""
    states = survey(KernelTree(tmp_path))
    assert all(state.value is None and state.reason and state.is_tuned for state in states)


def test_unreadable_knob_counts_as_missing(tmp_path: Path) -> None:
    """A setting that cannot be read does not keep the others from being shown."""

    class Unreadable(KernelTree):
        def read(self, target: str) -> str:
            """Refuse one."""
            if target == THP:
                raise ControlError("/thp cannot be read: Permission denied")
            return super().read(target)

    states = {state.knob.name: state for state in survey(Unreadable(write_tree(tmp_path)))}
    assert states["thp"].value is None and "Permission denied" in states["thp"].reason
    assert states["turbo"].value == "on"


@pytest.mark.parametrize(
    ("file", "text"), [(f"{CPU}/cpufreq/boost", "1"), (f"{CPU}/cpufreq/policy0/boost", "1")], ids=["acpi", "amd"]
)
def test_turbo_has_a_way_on_each_driver(tmp_path: Path, file: str, text: str) -> None:
    """no_turbo counts the other way round than boost; both mean the same knob."""
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(f"{text}\n")
    (entry,) = _knob("turbo").entries(KernelTree(tmp_path), "off")
    assert (entry.target, entry.before, entry.after) == (file, "1", "0")


@pytest.mark.parametrize("text", ["forceoff", "notsupported", "notimplemented"])
def test_smt_that_cannot_be_switched_is_missing(tmp_path: Path, text: str) -> None:
    """The control file is there also where nothing can be controlled."""
    (tmp_path / SMT).parent.mkdir(parents=True)
    (tmp_path / SMT).write_text(f"{text}\n")
    assert _state(tmp_path, "smt") is None


@pytest.mark.parametrize(("value", "disabled"), [("all", 0), ("shallow", 1), ("off", 2)])
def test_idle_states_are_chosen_by_latency(tmp_path: Path, value: str, disabled: int) -> None:
    """Deep states are those that take long to leave; polling, which takes none, always stays."""
    entries = _knob("cstates").entries(KernelTree(write_tree(tmp_path)), value)
    assert len(entries) == 4 * disabled
    assert not [entry for entry in entries if "state0" in entry.target]


def test_knob_refuses_another_value(tmp_path: Path) -> None:
    """A value that is not in its list is refused before anything is looked at."""
    with pytest.raises(InputError, match="thp cannot be 'maybe'"):
        _knob("thp").entries(KernelTree(tmp_path), "maybe")


def test_interrupt_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """An interrupt is named by its number."""
    with pytest.raises(HostError, match="no irqs to set"):
        irq_entries(KernelTree(write_tree(tmp_path)), (41,), (0,))


@pytest.mark.parametrize(
    ("target", "knob"),
    [
        (THP, "thp"),
        (f"{CPU}/cpufreq/policy12/scaling_governor", "governor"),
        ("proc/irq/40/smp_affinity_list", "irqs"),
        ("service:irqbalance", "irqbalance"),
        ("service:ssh", None),
        ("etc/passwd", None),
        ("proc/irq/4/../../../etc/smp_affinity_list", None),
    ],
)
def test_only_settings_of_knobs_are_known(target: str, knob: str | None) -> None:
    """A journal that names another file of the host is not obeyed."""
    assert owner_of(target) == knob
