"""Options that were given nothing."""

import pytest

from lab.__main__ import run


@pytest.mark.parametrize(
    "words",
    [
        ("run", "job.toml", "--results", ""),
        ("run", "job.toml", "--tree", ""),
        ("run", "job.toml", "--series", ""),
        ("run", "job.toml", "--base", ""),
        ("run", "job.toml", "--profile", ""),
        ("run", ""),
        ("series", "show", ""),
        ("command-line", "job.toml", "--cell", ""),
    ],
)
def test_an_empty_option_is_a_mistake(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """An unset variable of a script never means the current folder or the default."""
    assert run(words) == 2
    assert "it is empty" in capsys.readouterr().err
