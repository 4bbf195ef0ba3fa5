"""``lab job``: check job files and print their JSON schema. Starts nothing and writes nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from lab.cli.output import print_json, print_text
from lab.cli.types import PATH
from lab.errors import ExitCode, InputError
from lab.experiment.cells import checked_cells
from lab.experiment.job import JobError, load_job
from lab.experiment.job_schema import schema_text


@click.group()
def job() -> None:
    """Check job files, or print the JSON schema that editors complete them with.

    \b
    Example: lab job check jobs/virtio-scsi-iothreads.toml
    """


@job.command("check")
@click.argument("files", metavar="FILE...", type=PATH, nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def check_verb(files: tuple[Path, ...], as_json: bool) -> int:
    """Check job files and everything they name, without starting anything; exit code 2 if one is wrong.

    Each mistake has its line and, where there is one, the nearest valid word.

    \b
    Example: lab job check jobs/virtio-scsi-iothreads.toml
    """
    found = [_checked(path) for path in files]
    if as_json:
        print_json({"ok": all(one["ok"] for one in found), "jobs": found})
    else:
        print_text("\n".join(_text(one) for one in found))
    return int(ExitCode.DONE if all(one["ok"] for one in found) else ExitCode.INPUT)


@job.command("schema")
def schema_verb() -> None:
    """Print the JSON schema of job files: what jobs/job.schema.json holds.

    An editor that knows TOML, such as one with taplo, takes it from a first line '#:schema PATH' of a job.

    \b
    Example: lab job schema
    """
    sys.stdout.write(schema_text())


def _checked(path: Path) -> dict[str, Any]:
    """Return what there is to say about a job file; each profile makes its own cells."""
    try:
        loaded = load_job(path)
        recipe = loaded.recipe()
        if loaded.job.demonstration is not None:
            loaded.sibling(loaded.job.demonstration.series)
        checked = {name: checked_cells(loaded, table) for name, table in loaded.job.profile.items()}
    except JobError as err:
        mistakes = [{"line": one.line, "key": one.key, "message": one.message} for one in err.mistakes]
        return _result(path, mistakes, err.message)
    except InputError as err:
        return _result(path, [{"line": None, "key": None, "message": err.message}], err.message, err.remedy)
    cells, warnings = checked[loaded.job.default_profile]
    profiles = {name: len(found[0]) * loaded.job.profile[name].blocks for name, found in checked.items()}
    return {
        "file": str(path),
        "ok": True,
        "errors": [],
        "warnings": list(warnings),
        "cells": len(cells),
        "runs": profiles,
        "image": recipe.name,
    }


def _result(path: Path, mistakes: list[dict[str, Any]], text: str, remedy: str = "") -> dict[str, Any]:
    told = text if str(path) in text else f"{path}: {text}"
    return {"file": str(path), "ok": False, "errors": mistakes, "warnings": [], "text": told, "remedy": remedy}


def _text(found: dict[str, Any]) -> str:
    if not found["ok"]:
        return str(found["text"]) + (f"\n  what to do: {found['remedy']}" if found["remedy"] else "")
    runs = ", ".join(f"{name} {count} runs" for name, count in found["runs"].items())
    warnings = "".join(f"\n  warning: {warning}" for warning in found["warnings"])
    return f"{found['file']}: good, {found['cells']} cells, {runs}{warnings}"
