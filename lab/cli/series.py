"""``lab series``: read a series; apply it, or say which patch fails, where and why."""

from __future__ import annotations

from pathlib import Path

import click

from lab.build.source import source_from_path
from lab.cli.output import print_json, print_text, progress_for
from lab.cli.scope import options_that_name, scope_json, text_from_scope
from lab.cli.types import PATH, TEXT
from lab.errors import ExitCode, InputError
from lab.experiment.arms import ArmsRequest, series_from_request
from lab.progress import shortened
from lab.series.apply import Application, apply_series, json_from_application
from lab.series.prerequisites import Foundation, json_from_foundation, lay_foundation
from lab.series.series import Series, json_from_series

_MISSING_SHOWN = 20
FILE = click.argument("file", type=PATH, required=False)
TREE = click.option("--tree", type=PATH, help="Clone of QEMU, unpacked source, or tarball.")
RANGE = click.option("--range", "range_", metavar="BASE..TOPIC", help="Commits of --tree instead of a file.")
REVISION = click.option("--revision", type=click.IntRange(min=1), help="vN of the series; the newest by default.")
PARTIAL = click.option("--partial", is_flag=True, help="Go on although patches of the series are missing.")
JSON = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.group()
def series() -> None:
    """Read a patch series from mail, or apply it.

    Example: lab series show my.mbox
    """


@series.command()
@FILE
@TREE
@RANGE
@REVISION
@PARTIAL
@JSON
def show(
    file: Path | None, tree: Path | None, range_: str | None, revision: int | None, partial: bool, as_json: bool
) -> int:
    """Show what a series is, what is missing, and what is worth running for it.

    FILE is an mbox, a maildir, a folder of format-patch files, a single mail, or, with b4 installed, a Message-ID.
    Exit code 2 where patches are missing, unless --partial.

    \b
    Example:
      lab series show my-series.mbox
    """
    found = load_series(file, tree=tree, range_=range_, revision=revision, partial=True)
    if as_json:
        print_json({**json_from_series(found), "scope": scope_json(found)})
    else:
        print_text(text_from_series(found))
        asked = ArmsRequest(tree=tree, series=file, range=range_, revision=revision)
        print_text(text_from_scope(found, options_that_name(asked)))
    if not partial:
        found.require_complete()
    return ExitCode.DONE


@series.command()
@FILE
@click.option("--tree", type=PATH, required=True, help="Clone of QEMU, source, or tarball.")
@click.option("--base", type=TEXT, help="Commit to apply to; what the series names as base-commit, or HEAD.")
@RANGE
@REVISION
@PARTIAL
@JSON
def apply(
    file: Path | None,
    tree: Path,
    base: str | None,
    range_: str | None,
    revision: int | None,
    partial: bool,
    as_json: bool,
) -> int:
    """Apply a series, or say which patch fails, where and why (exit code 2).

    What the series says it builds on (prerequisite-patch-id, Based-on) is put under it where another branch of the
    tree has it. The tree is only read: no file, branch or index of it changes, and no hook runs.

    \b
    Example:
      lab series apply my-series.mbox --tree ~/src/qemu --base v10.0.0
    """
    found = load_series(file, tree=tree, range_=range_, revision=revision, partial=partial)
    progress = progress_for(quiet=as_json)
    source = source_from_path(tree, base, hint=found.base_commit, progress=progress)
    under = lay_foundation(source.repository, source.commit, found, tree=source.working_tree, progress=progress)
    for sentence in under.unmet:
        progress.say(sentence)
    application = apply_series(source.repository, under.commit, found, reasons=under.reasons)
    if as_json:
        print_json({**json_from_application(application), **json_from_foundation(under)})
        return ExitCode.INPUT if application.failed else ExitCode.DONE
    if application.failed is None:
        print_text(_text_from_success(application, under, source.origin))
    application.require_all()
    return ExitCode.DONE


def load_series(
    file: Path | None, *, tree: Path | None, range_: str | None, revision: int | None, partial: bool
) -> Series:
    """Return the series that a verb was given, as a file or as a range of its tree.

    :raise InputError: neither or both were given, or the series is not good.
    """
    if (file is None) == (range_ is None):
        raise InputError("a series is either a FILE or a --range", remedy="see --help for an example")
    return series_from_request(ArmsRequest(tree=tree, series=file, range=range_, revision=revision), partial=partial)


def text_from_series(found: Series) -> str:
    """Return a series for people, a line per patch."""
    lines = [f"{found.title}", f"v{found.revision}, {len(found.patches)} of {found.expected} patches"]
    others = [f"v{number}" for number in found.revisions if number != found.revision]
    if others:
        lines[1] += f" (also there: {', '.join(others)})"
    for patch in found.patches:
        lines.append(f"  {patch.index:>3}  {patch.subject}  [{shortened(patch.author)}]")
        lines += [f"       {shortened(trailer)}" for trailer in patch.trailers]
    lines += [f"  {index:>3}  MISSING" for index in found.missing[:_MISSING_SHOWN]]
    if len(found.missing) > _MISSING_SHOWN:
        lines.append(f"       and {len(found.missing) - _MISSING_SHOWN} more MISSING")
    if found.base_commit:
        lines.append(f"base-commit: {found.base_commit}")
    lines += [f"prerequisite-patch-id: {patch_id}" for patch_id in found.prerequisites]
    lines += [f"based on: {what}" for what in found.based_on]
    lines.append(f"files: {len(found.files)}")
    lines += [f"  {path}" for path in found.files]
    return "\n".join(lines)


def _text_from_success(application: Application, under: Foundation, origin: str) -> str:
    lines = [f"applies to {origin} ({under.base_commit[:12]})", *under.laid]
    for done in application.applied:
        merged = " (by three-way merge)" if done.merged else ""
        lines.append(f"  {done.patch.index:>3}  {done.commit[:12]}  {done.patch.subject}{merged}")
    lines.append(f"commit {application.commit}\ntree   {application.tree_id}")
    return "\n".join(lines)
