import ast
import sys

import pytest

from lab.virtio.backing import Backing
from lab.virtio.race import script
from lab.virtio.race.schedule import Action, Schedule, Step, schedule_from_text

RACE = Schedule(1, "none", (), {}, 4, Backing.HELD, (Step(Action.STOP), Step(Action.READ, count=2)))


def assigned(text: str, name: str) -> list[ast.expr]:
    """Return what is assigned to a name, or to an item of it, at the top level."""
    found = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            target = node.targets[0]
            target = target.value if isinstance(target, ast.Subscript) else target
            if isinstance(target, ast.Name) and target.id == name:
                found.append(node.value)
    return found


def modules(text: str) -> dict[str, str]:
    """Return the modules of a script."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            name, source = ast.literal_eval(node.targets[0].slice), ast.literal_eval(node.value)
            found[name] = source
    return found


def test_the_schedule_is_in_it() -> None:
    """As it is stored."""
    text = script.script_from_schedule(RACE, title="it", name="it.py")
    (value,) = assigned(text, "SCHEDULE")
    assert schedule_from_text(ast.literal_eval(value)) == RACE


def test_it_needs_the_standard_library_only() -> None:
    """Every module of the lab that is imported is there, and nothing else is imported."""
    inlined = modules(script.script_from_schedule(RACE, title="it", name="it.py"))
    assert "lab.virtio.race.replay" in inlined and "lab.machine.monitor" in inlined
    for name, source in inlined.items():
        for node in ast.walk(ast.parse(source)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for other in names:
                assert other in inlined or other.split(".")[0] in sys.stdlib_module_names, f"{name} imports {other}"


def test_modules_that_are_taken_from_a_package_are_in_it_too() -> None:
    """``from lab.machine import hang`` needs lab/machine/hang.py as much as ``from lab.machine.hang import ...``."""
    assert "lab.machine.hang" in modules(script.script_from_schedule(RACE, title="it", name="it.py"))


def test_a_title_cannot_end_the_docstring() -> None:
    """What QEMU said is foreign text."""
    text = script.script_from_schedule(RACE, title='""" + boom() + \\"', name="it.py")
    assert "boom" in (ast.get_docstring(ast.parse(text)) or "")


def test_a_module_that_cannot_be_a_raw_string_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test, so that nobody finds out when a script is written."""
    monkeypatch.setattr("pathlib.Path.read_text", lambda *_, **__: "x = '''y'''")
    with pytest.raises(AssertionError, match="three apostrophes"):
        script.script_from_schedule(RACE, title="it", name="it.py")
