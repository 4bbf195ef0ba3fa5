from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.__main__ import run
from lab.cli import image as module
from lab.errors import ExitCode
from lab.image.guest_image import GuestImage, read_image, write_image
from lab.image.recipe import Recipe
from lab.settings import project_dir
from tests.unit.image.test_guest_image import CONTENT


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GuestImage:
    """An image in an own cache, which every build finds."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "images" / "abc"
    folder.mkdir(parents=True)
    write_image(folder, CONTENT)
    return read_image(folder)


@pytest.fixture
def asked(image: GuestImage, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """What was built: recipe and whether to refresh."""
    calls: list[tuple[str, bool]] = []

    def build(recipe: Recipe, *, progress: object, refresh: bool) -> GuestImage:
        calls.append((recipe.name, refresh))
        return image

    monkeypatch.setattr(module, "build_image", build)
    return calls


def test_build_takes_the_default_recipe(asked: list[tuple[str, bool]], capsys: pytest.CaptureFixture[str]) -> None:
    """And shows what it made, notes included."""
    assert run(["image", "build"]) == ExitCode.DONE
    assert asked == [("default", False)]
    out = capsys.readouterr().out
    assert "6.1.0-test" in out and "fio 3.33-3" in out and "slow" in out


def test_build_takes_another_recipe_and_prints_json(
    asked: list[tuple[str, bool]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--recipe FILE --refresh --json``."""
    recipe = project_dir() / "guest-images" / "installed.toml"
    assert run(["image", "build", "--recipe", str(recipe), "--refresh", "--json"]) == ExitCode.DONE
    assert asked == [("installed", True)]
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (value["key"], value["cmdline"], value["programs"]) == ("abc", "panic=-1 quiet", {"fio": "3.33-3"})


def test_build_with_a_wrong_recipe_is_an_error_of_the_input(
    asked: list[tuple[str, bool]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and the remedy, no traceback."""
    path = tmp_path / "wrong.toml"
    path.write_text("name = 7")
    assert run(["image", "build", "--recipe", str(path)]) == ExitCode.INPUT
    assert asked == [] and "what to do" in capsys.readouterr().err


def test_list_shows_what_is_in_the_cache(image: GuestImage, capsys: pytest.CaptureFixture[str]) -> None:
    """For people and for machines."""
    assert run(["image", "list"]) == ExitCode.DONE
    assert "default  abc" in capsys.readouterr().out
    assert run(["image", "list", "--json"]) == ExitCode.DONE
    assert [one["key"] for one in json.loads(capsys.readouterr().out)["images"]] == ["abc"]


def test_list_of_an_empty_cache_says_how_to_fill_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No error: there is nothing wrong."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "empty"))
    assert run(["image", "list"]) == ExitCode.DONE
    assert "lab image build" in capsys.readouterr().out
