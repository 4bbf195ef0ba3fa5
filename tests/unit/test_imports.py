"""The architecture, as a test: which part may use which, where foreign libraries are met, and how large things get.

The order of the parts is the way data goes (docs/pipeline.md). An arrow that is missing here is missing on purpose:
add it only together with a decision in docs/decisions/.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.unit.project import PROJECT, modules

BASICS = "errors units deadline command files record settings scratch progress"

# Part: what it may import, beside itself. The longest name that fits a module counts.
MAY_IMPORT = {
    # the basics, which know nothing of the rest
    "errors": "",
    "units": "errors",
    "deadline": "errors",
    "command": "errors",
    "files": "errors",
    "record": "errors",
    "settings": "errors",
    "scratch": "",
    "progress": "units",
    # the left half may start processes, and writes results/
    "host": BASICS,
    "host.accelerator": f"{BASICS} image machine",  # an accelerator is proved by booting the guest image with it
    "series": BASICS,
    "build": f"{BASICS} host series",
    "image": f"{BASICS} host",
    "machine": BASICS,
    "virtio": f"{BASICS} machine",
    "workload": BASICS,
    "scenario": f"{BASICS} build host image machine virtio workload",
    "experiment": f"{BASICS} build host image machine scenario series virtio workload",
    # the right half only reads results/
    "analysis": "errors files progress record settings units",
    "report": "errors files progress record settings units analysis",
    # for people and for tests
    "testing": f"{BASICS} host image machine virtio workload",
    "cli": f"{BASICS} host series build image machine virtio workload scenario experiment analysis report",
    "__main__": "cli errors",
}

# Import package: the only modules, or whole parts, that may meet it.
MET_IN = {
    "asyncio": "machine.monitor",
    "click": "cli __main__",
    "elftools": "image",
    "fabric": "machine.guest_shell",
    "hypothesis": "virtio.malformed.fuzz",  # in the lab itself; tests meet it too
    "invoke": "machine.guest_shell",
    "jinja2": "report",
    "lz4": "image",
    "matplotlib": "report.charts",
    "numpy": "analysis report virtio",
    "pandas": "analysis report",
    "paramiko": "machine.guest_shell",
    "platformdirs": "settings",
    "qemu": "machine.monitor",
    "rich": "progress cli",
    "ruptures": "analysis.change_points",
    "scipy": "analysis",
    # command: what ends by itself; the others: QEMU, a long-lived process; git fast-import, which is fed a stream
    "subprocess": "command machine.process series.repository",
    "zstandard": "image",
}

# Import package: the distribution in pyproject.toml that brings it, where that has another name.
BROUGHT_BY = {
    "elftools": "pyelftools",
    "invoke": "fabric",  # half of fabric's interface; fabric says which version
    "qemu": "qemu.qmp",
}

# Dependencies that nothing imports, and why they are there.
NOT_IMPORTED = {
    "meson": "QEMU's configure runs it, and prefers a new one over the host's",
    "pycotap": "QEMU's configure wants it in its Python environment",
}

LARGEST_MODULE_LINES = 300
LARGEST_FUNCTION_LINES = 60
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "common", "core", "manager", "misc"}


def _name(path: Path) -> str:
    """Return the name of a module below the package: ``machine.spec``."""
    parts = path.relative_to(PROJECT / "lab").with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__").removesuffix("__init__")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full name of everything a module imports, also inside functions."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _fits(name: str, places: str) -> bool:
    """Tell whether a dotted name is one of the places or inside one."""
    return any(name == place or name.startswith(f"{place}.") for place in places.split())


def _allowed(name: str) -> str:
    fitting = [part for part in MAY_IMPORT if _fits(name, part)]
    assert fitting, f"lab/{name} has no place in the table: which part of the lab is it?"
    return MAY_IMPORT[max(fitting, key=len)]


def _own_imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and name, below the package, of what a module imports from the lab."""
    for line, full in _imported(path):
        if full.startswith("lab.") and full != "lab.__version__":
            yield line, full.removeprefix("lab.")


def test_data_goes_one_way() -> None:
    """No part imports one that comes later, and the two halves share nothing but the record and the basics."""
    wrong = []
    for path in modules():
        name = _name(path)
        if not name:
            continue
        part = name.split(".")[0]
        wrong += [
            f"{path}:{line}: '{name}' may not import '{target}'"
            for line, target in _own_imports(path)
            if not _fits(target, f"{_allowed(name)} {part}")
        ]
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_in_a_circle() -> None:
    """The modules can be read in an order in which each uses only those before it."""
    names = {_name(path): path for path in modules()}
    uses = {
        name: {max((n for n in names if n and _fits(t, n)), key=len, default=name) for _, t in _own_imports(path)}
        - {name}
        for name, path in names.items()
    }
    done: set[str] = set()
    while ready := {name for name in uses if name not in done and uses[name] <= done}:
        done |= ready
    assert not uses.keys() - done, f"in a circle, or using one: {sorted(uses.keys() - done)}"


def test_foreign_libraries_are_met_in_one_place() -> None:
    """A library whose interface matters is imported only where the lab wraps it."""
    wrong = [
        f"{path}:{line}: '{library}' is met in {MET_IN[library]} only"
        for path in modules()
        for line, full in _imported(path)
        if (library := full.split(".")[0]) in MET_IN and not _fits(_name(path), MET_IN[library])
    ]
    assert not wrong, "\n".join(wrong)


def _declared(extra: str = "") -> set[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {re.split(r"[<>=!~\[; ]", requirement)[0] for requirement in requirements}


def _foreign() -> set[str]:
    found = {full.split(".")[0] for path in modules() for _, full in _imported(path)}
    return {BROUGHT_BY.get(name, name) for name in found - set(sys.stdlib_module_names) - {"lab"}}


def test_imported_libraries_are_declared() -> None:
    """Every library that is imported stands in pyproject.toml."""
    assert _foreign() <= _declared()


def test_declared_libraries_are_used() -> None:
    """Every library in pyproject.toml is imported, or there is a reason why not."""
    assert _declared() - _foreign() == set(NOT_IMPORTED)


def test_declared_libraries_are_explained() -> None:
    """Every library in pyproject.toml has its reason in docs/decisions/0002-dependencies.md."""
    page = (PROJECT / "docs" / "decisions" / "0002-dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE)
    explained = {name for row in rows for name in row.split(", ")}
    stubs = {name for name in _declared("dev") if name.startswith("types-")}
    assert not _declared() - explained
    assert not _declared("dev") - stubs - explained


def _calls(path: Path, wanted: Callable[[ast.Call], bool]) -> list[str]:
    return [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and wanted(node)
    ]


def _mentions(path: Path, *names: str) -> list[str]:
    """Return where a module uses one of these dotted names, or imports it."""
    used = [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in names
    ]
    return used + [f"{path}:{line}: {full}" for line, full in _imported(path) if full in names]


@pytest.mark.parametrize(
    ("names", "place"),
    [
        (("time.sleep",), "deadline"),
        (("sys.exit", "os._exit", "SystemExit", "exit", "quit"), "__main__"),
        (("signal.signal",), "__main__"),
        (("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"), ""),
        (("os.chdir", "os.putenv", "os.umask"), ""),
    ],
)
def test_what_touches_the_whole_process_has_one_place(names: tuple[str, ...], place: str) -> None:
    """Sleeping, exiting, signals, shells and the process's own state are each in one module, or in none."""
    wrong = [found for path in modules() if _name(path) != place for found in _mentions(path, *names)]
    assert not wrong, "\n".join(wrong)


def test_no_command_goes_through_a_shell() -> None:
    """No process is started with ``shell=True``, or with a value that could be true."""

    def has_shell(call: ast.Call) -> bool:
        return any(keyword.arg == "shell" and ast.unparse(keyword.value) != "False" for keyword in call.keywords)

    wrong = [found for path in modules() for found in _calls(path, has_shell)]
    assert not wrong, "\n".join(wrong)


def test_modules_begin_with_what_they_do() -> None:
    """Every module has a docstring, and every part of the lab has one that is more than a word."""
    wrong = [str(path) for path in modules() if len((ast.get_docstring(_tree(path)) or "").split()) < 4]
    assert not wrong, "\n".join(wrong)


def test_modules_are_small() -> None:
    """No module is longer than a reader's patience."""
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert not {str(path): size for path, size in sizes.items() if size > LARGEST_MODULE_LINES}


def test_functions_are_small() -> None:
    """No function is longer than a screen."""
    wrong = [
        f"{path}:{node.lineno}: '{node.name}' has {lines} lines"
        for path in modules()
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > LARGEST_FUNCTION_LINES
    ]
    assert not wrong, "\n".join(wrong)


def test_names_say_something() -> None:
    """No module is called by a word that fits everything."""
    assert not [str(path) for path in modules() if NAMES_THAT_SAY_NOTHING & set(re.split(r"[_.]", _name(path)))]


def test_nothing_happens_at_import() -> None:
    """A module's own level holds definitions: no loops, no calls for their effect but for putting verbs together."""
    harmless = (
        ast.Import,
        ast.ImportFrom,
        ast.Assign,
        ast.AnnAssign,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
    )
    wrong = []
    for path in modules():
        for node in _tree(path).body:
            if isinstance(node, harmless) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
                continue
            text = ast.unparse(node)
            if text.startswith(("if TYPE_CHECKING:", "if __name__ == '__main__':")):
                continue
            if _fits(_name(path), "cli") and ".add_command(" in text:
                continue
            wrong.append(f"{path}:{node.lineno}: {text.splitlines()[0]}")
    assert not wrong, "\n".join(wrong)


def test_the_rules_find_what_they_forbid(tmp_path: Path) -> None:
    """The rules above can fail: each finds its own counter-example."""
    path = tmp_path / "bad.py"
    path.write_text("import subprocess\nfrom time import sleep\nsubprocess.run('x', shell=1)\n", encoding="utf-8")
    assert _mentions(path, "time.sleep") == [f"{path}:2: time.sleep"]
    assert [full for _, full in _imported(path)] == ["subprocess", "time.sleep"]
    assert _calls(path, lambda call: bool(call.keywords)) == [f"{path}:3: subprocess.run('x', shell=1)"]
    assert _allowed("host.accelerator") != _allowed("host.facts")
    assert _fits("machine.spec", "cli machine") and not _fits("machinery", "machine")
