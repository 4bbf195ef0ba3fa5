"""A schedule to one Python file that performs it anywhere: the modules that a race needs are in it as text.

Whoever gets it needs a QEMU and Python 3.11, not the lab: lab.machine.monitor, the one module that needs a library, is
replaced by lab.virtio.race.plain_monitor. The modules stay readable, and tracebacks show their lines.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from lab.virtio.race.schedule import Schedule

_ROOT = Path(__file__).resolve().parents[2]
_ENTRY = "lab.virtio.race.replay"
_REPLACED = {"lab.machine.monitor": "lab.virtio.race.plain_monitor"}

_HEAD = '''#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""{title}

Run it with Python 3.11 or newer on x86 Linux, with util-linux installed; no guest, no KVM and no root are needed:

    python3 {name} /path/to/qemu-system-x86_64 --times 50

It prints QEMU's command line, what each performance showed, and how many went wrong (exit status 1 if any did). The
steps are in SCHEDULE; what performs them is in SOURCES, a virtio-scsi driver over the qtest protocol among it.
"""

import importlib.abc
import importlib.util
import sys

SCHEDULE = r\'\'\'
{schedule}
\'\'\'

SOURCES = {{}}
'''

_TAIL = '''

class Inlined(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds modules in SOURCES."""

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self) if name in SOURCES else None

    def is_package(self, name):
        return any(other.startswith(name + ".") for other in SOURCES)

    def get_source(self, name):
        return SOURCES[name]


sys.meta_path.insert(0, Inlined())

if __name__ == "__main__":
    from lab.virtio.race.replay import main

    sys.exit(main(SCHEDULE))
'''


def script_from_schedule(schedule: Schedule, *, title: str, name: str) -> str:
    """Return the file's text.

    :param title: what the race shows, one line.
    :param name: what the file will be called.
    """
    plain = title.replace("\\", "/").replace('"', "'")
    steps = json.dumps(schedule.to_json(), indent=1)
    parts = [_HEAD.format(title=plain, name=name, schedule=steps)]
    parts += [f"\nSOURCES[{module!r}] = r'''{_source(module)}'''\n" for module in sorted(_modules())]
    return "".join([*parts, _TAIL])


def _modules() -> set[str]:
    """Return every module of the lab that the entry needs, and the packages they are in."""
    found: set[str] = set()
    waiting = [_ENTRY]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imported(name)
            waiting += [name.rpartition(".")[0]] if "." in name else []
    return found


def _imported(name: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(_source(name))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lab":
            yield node.module
            # what is taken from a package may be a module itself
            yield from (f"{node.module}.{what.name}" for what in node.names if _is_module(f"{node.module}.{what.name}"))


def _is_module(name: str) -> bool:
    path = _ROOT / Path(*name.split(".")[1:])
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _source(name: str) -> str:
    relative = Path(*_REPLACED.get(name, name).split(".")[1:])
    module = _ROOT / relative.with_suffix(".py") if relative.parts else _ROOT / "__init__.py"
    file = module if module.is_file() else _ROOT / relative / "__init__.py"
    text = file.read_text(encoding="utf-8")
    assert "'''" not in text, f"{file} cannot be put into a script: it has three apostrophes in a row"
    return text
