"""A tree of settings that behaves like a kernel's, and that can refuse, or take the process with it."""

from __future__ import annotations

from pathlib import Path

from lab.host.tuning_controls import ControlError, HostControls
from lab.host.tuning_journal import JOURNAL

CPU = "sys/devices/system/cpu"
THP = "sys/kernel/mm/transparent_hugepage/enabled"
SMT = f"{CPU}/smt/control"
BOOT_ID = "proc/sys/kernel/random/boot_id"
MARKED = {THP: ("always", "madvise", "never")}


class KilledError(BaseException):
    """The process was killed: nothing that it would have done afterwards happens."""


def write_tree(root: Path) -> Path:
    """Write the settings of a host with 4 CPUs on 2 cores; 2 and 3 are the siblings of 0 and 1."""
    files = {
        BOOT_ID: "boot-1\n",
        THP: "always [madvise] never\n",
        "proc/sys/kernel/nmi_watchdog": "1\n",
        "proc/irq/40/smp_affinity_list": "0-3\n",
        SMT: "on\n",
        f"{CPU}/intel_pstate/no_turbo": "0\n",
        "etc/passwd": "root\n",
    }
    for number in range(4):
        files[f"{CPU}/cpufreq/policy{number}/scaling_governor"] = "powersave\n" if number else "schedutil\n"
        for state, latency_us in enumerate((0, 2, 100)):
            files[f"{CPU}/cpu{number}/cpuidle/state{state}/latency"] = f"{latency_us}\n"
            files[f"{CPU}/cpu{number}/cpuidle/state{state}/disable"] = "0\n"
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def snapshot(root: Path) -> dict[str, str]:
    """Return every setting of the tree."""
    files = (path for path in root.rglob("*") if path.is_file())
    found = {str(path.relative_to(root)): path.read_text() for path in files}
    return {path: text for path, text in found.items() if not path.startswith(str(JOURNAL.parent))}


class KernelTree(HostControls):
    """The tree as a kernel shows it: a marked value, governors with known names, and no siblings without SMT.

    :param refuse: number of the write, from 1, that is refused.
    :param refuse_after: every write after this number is refused.
    :param die_at: the process is killed at this write, before (``die_late`` False) or after it took effect.
    """

    def __init__(
        self,
        root: Path,
        *,
        refuse: int | None = None,
        refuse_after: int | None = None,
        die_at: int | None = None,
        die_late: bool = False,
    ) -> None:
        super().__init__(root)
        self._tree = root
        self._refuse, self._refuse_after, self._die_at, self._die_late = refuse, refuse_after, die_at, die_late
        self._dead = False
        self.writes = 0
        self.managed: frozenset[str] = frozenset()

    def read(self, target: str) -> str:
        """Read, unless dead."""
        self._check_alive()
        return super().read(target)

    def write(self, target: str, value: str) -> None:
        """Write as a kernel does, unless told otherwise."""
        self._check_alive()
        self.writes += 1
        dies = self.writes == self._die_at
        if dies and not self._die_late:
            self._dead = True
        self._check_alive()
        if (
            self.writes == self._refuse
            or (self._refuse_after is not None and self.writes > self._refuse_after)
            or target in self.managed
        ):
            raise ControlError(f"/{target} cannot be set to '{value}': Input/output error")
        if target in MARKED:
            assert value in MARKED[target]
            words = (f"[{word}]" if word == value else word for word in MARKED[target])
            super().write(target, " ".join(words))
        else:
            super().write(target, value)
        if target == SMT:
            self._switch_siblings(on=value == "on")
        if dies:
            self._dead = True
        self._check_alive()

    def _switch_siblings(self, *, on: bool) -> None:
        for number in (2, 3):
            for name in (f"{CPU}/cpufreq/policy{number}", f"{CPU}/cpu{number}/cpuidle"):
                folder = self._tree / name
                gone = folder.with_name(f"{folder.name}-offline")
                if on and gone.exists():
                    gone.rename(folder)
                elif not on and folder.exists():
                    folder.rename(gone)

    def _check_alive(self) -> None:
        if self._dead:
            raise KilledError
