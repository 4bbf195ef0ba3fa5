"""The project's CI script: it runs the README's second command, exactly that, and hands on how it ended."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lab.command import CommandResult, run
from tests.unit.project import PROJECT, fenced_blocks

README = """# A project

`nox` is code, too.

```sh
echo first >first
{second}
```

```sh
echo elsewhere
echo other
```
"""


def _ci(folder: Path, readme: str) -> CommandResult:
    (folder / ".ci").mkdir()
    shutil.copy(PROJECT / ".ci" / "run", folder / ".ci" / "run")
    (folder / "README.md").write_text(readme, encoding="utf-8")
    return run([folder / ".ci" / "run"], cwd=Path("/"), check=False)


def test_second_command_is_run(tmp_path: Path) -> None:
    """The second command runs in the project's root, wherever CI is called from, and the first does not run."""
    result = _ci(tmp_path, README.format(second='pwd && echo "$((6 * 7))" | cat'))
    assert (result.returncode, result.stdout.splitlines()[1:]) == (0, [str(tmp_path), "42"])
    assert not (tmp_path / "first").exists()


@pytest.mark.parametrize(("second", "code"), [("exit 3", 3), ("false", 1), ("(exit 4) && echo no", 4)])
def test_exit_code_is_handed_on(tmp_path: Path, second: str, code: int) -> None:
    """CI ends as the command ends."""
    assert _ci(tmp_path, README.format(second=second)).returncode == code


def test_readme_without_a_second_command(tmp_path: Path) -> None:
    """A README without the command fails loudly: a CI that ran nothing must not be green."""
    result = _ci(tmp_path, README.format(second=""))
    assert result.returncode == 2 and "has no second command" in result.stderr


def test_readme_begins_with_the_two_commands() -> None:
    """The first fenced block of README.md holds two lines: one that measures, one that tests; each from nothing."""
    lines = next(fenced_blocks(PROJECT / "README.md")).body.splitlines()
    setup = "python3 -m venv .venv && .venv/bin/pip install --quiet nox && .venv/bin/nox -s"
    assert lines == [f"{setup} bench", f"{setup} tests"]
