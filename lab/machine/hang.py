"""A QEMU that does not go on to what the kernel and gdb say of its threads: evidence, gathered while it still runs."""

from __future__ import annotations

from pathlib import Path

from lab.command import is_installed, run
from lab.errors import LabError

BACKTRACE = "backtrace.txt"
_BACKTRACE_S = 30.0
_PROC = Path("/proc")


def thread_facts(pid: int, proc: Path = _PROC) -> list[dict[str, str]]:
    """Return name, state and kernel function of each thread, as far as the kernel tells."""
    threads = []
    for task in sorted((proc / str(pid) / "task").glob("*")):
        facts = {"id": task.name}
        for name in ("comm", "wchan"):
            try:
                facts[name] = (task / name).read_text(errors="replace").strip()
            except OSError:
                continue
        threads.append(facts)
    return threads


def save_backtrace(pid: int, folder: Path) -> None:
    """Have gdb write every thread's stack to ``backtrace.txt``, where it is installed; takes a second or two."""
    if not is_installed("gdb"):
        return
    script = ("set pagination off", "set debuginfod enabled off", "thread apply all backtrace 40")
    words = [word for line in script for word in ("-ex", line)]
    try:
        text = run(["gdb", "-nx", "-batch", "-p", str(pid), *words], timeout_s=_BACKTRACE_S, check=False).stdout
    except LabError as err:  # evidence that cannot be had must not hide the finding
        text = err.message
    (folder / BACKTRACE).write_text(text, encoding="utf-8")
