"""The knobs of a host that measurements depend on: what there is, how it is set, what it would have to be set to.

Sources: Documentation/admin-guide/pm (cpufreq.rst, intel_pstate.rst, cpuidle.rst), admin-guide/mm/transhuge.rst,
admin-guide/sysctl/kernel.rst and ABI/testing/sysfs-devices-system-cpu of the Linux kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from lab.errors import HostError, InputError
from lab.host.tuning_controls import ControlError, Controls
from lab.units import text_from_cpus

_CPU = "sys/devices/system/cpu"
_SHALLOW_US = 10
"""Idle states that are left faster than this count as shallow: C1 and C1E, not C3 and C6."""

Encode = Callable[[Controls, str, str], str]
"""(controls, target, a knob's value) to the text that stands in the target."""


@dataclass(frozen=True)
class Entry:
    """One setting that is to change.

    :param before: what it is now.
    :param after: what it is to be.
    :param optional: the kernel may refuse without harm.
    """

    knob: str
    target: str
    before: str
    after: str
    optional: bool = False


def _verbatim(_controls: Controls, _target: str, value: str) -> str:
    return value


def _table(**texts: str) -> Encode:
    def encode(_controls: Controls, _target: str, value: str) -> str:
        return texts[value]

    return encode


def _disable(controls: Controls, target: str, value: str) -> str:
    """Return the text of an idle state's ``disable``: by the time it takes to leave the state, in microseconds."""
    limit_us = {"all": float("inf"), "shallow": _SHALLOW_US, "off": 0}[value]
    return "1" if int(controls.read(target.removesuffix("disable") + "latency")) > limit_us else "0"


@dataclass(frozen=True)
class Knob:
    """A setting of the host that has one meaning and one or more targets.

    :param values: what it may be set to.
    :param bench: what the profile ``bench`` sets; empty where that depends on what is measured.
    :param ways: patterns of targets with their encoding; the first that this host has is used.
    :param lacking: why a host may not have it.
    """

    name: str
    title: str
    values: tuple[str, ...]
    bench: str
    ways: tuple[tuple[str, Encode], ...]
    lacking: str
    optional: bool = False

    def value(self, controls: Controls) -> str | None:
        """Return how it is set, the texts of its targets where they say different things, None where it is missing.

        :raise ControlError: a target cannot be read.
        """
        targets, encode = self._way(controls)
        texts = {target: controls.read(target) for target in targets}
        for value in self.values:
            if targets and all(encode(controls, target, value) == text for target, text in texts.items()):
                return value
        found = ", ".join(sorted(set(texts.values())))
        return found if found and found not in ("notsupported", "notimplemented", "forceoff") else None

    def entries(self, controls: Controls, value: str) -> tuple[Entry, ...]:
        """Return what has to change for a value; nothing where all is as wanted.

        :raise InputError: the knob has no such value.
        :raise HostError: this host does not have the knob.
        :raise ControlError: a target cannot be read.
        """
        if value not in self.values:
            raise InputError(f"{self.name} cannot be '{value}'", remedy=f"values: {', '.join(self.values)}")
        if self.value(controls) is None:
            raise HostError(f"this host has no {self.name} to set: {self.lacking}", remedy="leave it out of --only")
        targets, encode = self._way(controls)
        entries = (
            Entry(self.name, target, controls.read(target), encode(controls, target, value), self.optional)
            for target in targets
        )
        return tuple(entry for entry in entries if entry.before != entry.after)

    def owns(self, target: str) -> bool:
        """Tell whether a target is one of this knob's."""
        return ".." not in target and any(fnmatch(target, pattern) for pattern, _ in self.ways)

    def _way(self, controls: Controls) -> tuple[tuple[str, ...], Encode]:
        for pattern, encode in self.ways:
            targets = controls.find(pattern)
            if targets:
                return targets, encode
        return (), _verbatim


_FREQUENCY = "the kernel does not scale the frequency (a virtual machine, or the firmware does it)"

KNOBS = (
    Knob(
        "governor",
        "frequency governor of the CPUs",
        ("performance", "powersave", "schedutil", "ondemand", "conservative", "userspace"),
        "performance",
        ((f"{_CPU}/cpufreq/policy*/scaling_governor", _verbatim),),
        _FREQUENCY,
    ),
    Knob(
        "turbo",
        "frequencies above the nominal one",
        ("on", "off"),
        "off",
        (
            (f"{_CPU}/intel_pstate/no_turbo", _table(on="0", off="1")),
            (f"{_CPU}/cpufreq/boost", _table(on="1", off="0")),
            (f"{_CPU}/cpufreq/policy*/boost", _table(on="1", off="0")),
        ),
        _FREQUENCY,
    ),
    Knob(
        "thp",
        "transparent huge pages",
        ("always", "madvise", "never"),
        "never",
        (("sys/kernel/mm/transparent_hugepage/enabled", _verbatim),),
        "the kernel was built without them",
    ),
    Knob(
        "nmi-watchdog",
        "a performance counter that interrupts each CPU",
        ("on", "off"),
        "off",
        (("proc/sys/kernel/nmi_watchdog", _table(on="1", off="0")),),
        "the kernel was built without it",
    ),
    Knob(
        "irqbalance",
        "the service that moves interrupts between CPUs",
        ("on", "off"),
        "off",
        (("service:irqbalance", _table(on="active", off="inactive")),),
        "it is not installed, or no service manager runs here",
    ),
    Knob(
        "cstates",
        "idle states of the CPUs",
        ("all", "shallow", "off"),
        "",
        ((f"{_CPU}/cpu[0-9]*/cpuidle/state[0-9]*/disable", _disable),),
        "the kernel does not manage idle states (a virtual machine, or idle=poll)",
    ),
    # The last one to be set and so the first to be put back: the CPUs it takes away have targets of the others.
    Knob(
        "smt",
        "two threads on a core",
        ("on", "off"),
        "",
        ((f"{_CPU}/smt/control", _verbatim),),
        "the CPU has none, or the firmware or mitigations turned it off",
    ),
)


def irq_knob(irqs: Iterable[int | str], cpus: Iterable[int]) -> Knob:
    """Return a knob whose only value puts interrupts on CPUs.

    Interrupts that the kernel manages itself (a queue per CPU, as NVMe has) cannot be moved, EIO: they follow the CPU
    that sends the request.

    :param irqs: their numbers, or a pattern of numbers.
    """
    ways = tuple((f"proc/irq/{irq}/smp_affinity_list", _verbatim) for irq in irqs)
    return Knob("irqs", "CPUs of interrupts", (text_from_cpus(cpus),), "", ways, "no such interrupt", optional=True)


def irq_entries(controls: Controls, irqs: Sequence[int], cpus: Iterable[int]) -> tuple[Entry, ...]:
    """Return what has to change for every one of these interrupts to go to the CPUs.

    :raise HostError: there is no such interrupt.
    """
    places = frozenset(cpus)
    return tuple(entry for irq in irqs for entry in irq_knob([irq], places).entries(controls, text_from_cpus(places)))


def owner_of(target: str) -> str | None:
    """Return the knob that a target belongs to: a journal that names another file is not obeyed."""
    knobs = (*KNOBS, irq_knob(["[0-9]*"], ()))
    return next((knob.name for knob in knobs if knob.owns(target)), None)


@dataclass(frozen=True)
class KnobState:
    """A knob of this host.

    :param value: how it is set, None where the host does not have it.
    :param reason: why not.
    """

    knob: Knob
    value: str | None
    reason: str = ""

    @property
    def is_tuned(self) -> bool:
        """Tell whether the profile ``bench`` has nothing to change here."""
        return self.value is None or self.knob.bench in ("", self.value)


def survey(controls: Controls) -> tuple[KnobState, ...]:
    """Look at every knob. One that cannot be read counts as missing, with the reason."""
    states = []
    for knob in KNOBS:
        try:
            value = knob.value(controls)
        except ControlError as err:
            states.append(KnobState(knob, None, err.message))
        else:
            states.append(KnobState(knob, value, "" if value is not None else knob.lacking))
    return tuple(states)
