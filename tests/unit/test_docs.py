"""Documentation is executed: CONTRIBUTING.md says how examples are written, this runs them."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from lab import __main__ as entry
from lab.cli import CONTEXT, app
from tests.unit.project import PROJECT, FencedBlock, fenced_blocks, pages

NEEDS_A_HOST = "<!-- example: needs a host -->"
INPUTS = ("jobs", "guest-images", "results/reference", "tests/data")
PAGES = [*pages(), PROJECT / "CHANGELOG.md", PROJECT / "CONTRIBUTING.md"]


@dataclass(frozen=True)
class Example:
    """A command of a page, and what the page says comes of it.

    :param argv: words after ``lab``.
    :param output: lines that are shown; none means that nobody looks.
    """

    where: str
    argv: tuple[str, ...]
    output: tuple[str, ...]
    exit_code: int


def examples_from_block(block: FencedBlock) -> list[Example]:
    """Return the examples of a console block.

    :raise ValueError: a command that is not one of the lab's, or output before the first.
    """
    entries: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(block.body.splitlines(), block.line + 1):
        if line.startswith("$ "):
            entries.append((number, line[2:], []))
        elif entries and not entries[-1][2] and entries[-1][1].endswith("\\"):
            entries[-1] = (entries[-1][0], entries[-1][1][:-1] + line, [])
        elif entries:
            entries[-1][2].append(line)
        elif line.strip():
            raise ValueError(f"{block.page}:{number}: output without a command")
    examples: list[Example] = []
    for number, command, output in entries:
        where = f"{block.page.name}:{number}"
        if command == "echo $?" and examples:
            last = examples.pop()
            examples.append(Example(last.where, last.argv, last.output, int(output[0])))
            continue
        words = shlex.split(command, comments=True)
        if words[0] != "lab" or {"|", ">", "&&", ";"} & set(words):
            raise ValueError(f"{where}: '{command}' is not a plain call of lab: use a block marked sh")
        examples.append(Example(where, tuple(words[1:]), tuple(output), 0))
    return examples


def matches(shown: tuple[str, ...], printed: str) -> bool:
    """Tell whether output is what a page shows, where ``...`` stands for anything."""
    pattern = "".join(
        r"(?:.*\n)*?"
        if line.strip() == "..."
        else re.escape(line.rstrip()).replace(re.escape("..."), ".*") + r"[ \t]*\n"
        for line in shown
    )
    return re.fullmatch(pattern, printed.rstrip("\n") + "\n") is not None


def unknown_words(argv: tuple[str, ...]) -> str:
    """Return what is wrong with a call without making it; empty where verbs and options exist."""
    command: click.Command = app
    words = list(argv)
    while True:
        context = click.Context(command, info_name=command.name, **CONTEXT)  # type: ignore[arg-type]
        try:
            _, words, _ = command.make_parser(context).parse_args(words)
        except click.UsageError as err:
            return err.format_message()
        if not isinstance(command, click.Group) or not words:
            return ""
        found = command.get_command(context, words[0])
        if found is None:
            return f"there is no verb '{words[0]}'"
        command, words = found, words[1:]


def _needs_a_host(block: FencedBlock) -> bool:
    return block.before.rstrip().endswith(NEEDS_A_HOST)


def _name(block: FencedBlock) -> str:
    return f"{block.page.name}:{block.line}"


@pytest.fixture
def copy_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the inputs that examples may name, where the project has them."""
    for name in INPUTS:
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, tmp_path / "project" / name)
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path / "project"


@pytest.mark.usefixtures("copy_of_the_project")
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_examples_print_what_the_page_shows(page: Path) -> None:
    """Every example of a page that needs no host runs as shown, one after the other, with the exit code it says."""
    for block in fenced_blocks(page):
        if block.language != "console" or _needs_a_host(block):
            continue
        for example in examples_from_block(block):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                code = entry.run(example.argv)
            assert code == example.exit_code, f"{example.where}: exit code {code}\n{printed.getvalue()}"
            if example.output:
                assert matches(example.output, printed.getvalue()), f"{example.where} printed:\n{printed.getvalue()}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_examples_that_need_a_host_can_be_read(page: Path) -> None:
    """An example that is not run has verbs and options that exist."""
    blocks = [block for block in fenced_blocks(page) if block.language == "console" and _needs_a_host(block)]
    wrong = {
        example.where: why
        for block in blocks
        for example in examples_from_block(block)
        if (why := unknown_words(example.argv))
    }
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_are_marked(page: Path) -> None:
    """No call of the lab hides in a block that is not run."""
    for block in fenced_blocks(page):
        hidden = re.search(r"^(\$ )?lab ", block.body, re.MULTILINE)
        assert block.language in ("console", "markdown") or hidden is None, f"{_name(block)}: mark it as console"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_verbs_in_the_text_exist(page: Path) -> None:
    """A verb that the text names, as in `lab doctor`, can be called."""
    spans = re.findall(r"`lab ([a-z][a-z -]*[a-z])", page.read_text(encoding="utf-8"))
    wrong = {span: why for span in spans if (why := unknown_words(tuple(span.split()[:1])))}
    assert not wrong


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.*?) *$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link, and every picture, leads to a file of the project, and to a heading where it names one."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in _anchors(file), f"{page.name}: {target}"


# The mechanism itself


def _block(body: str) -> FencedBlock:
    return FencedBlock(Path("page.md"), 10, "console", body, "")


def test_block_is_taken_apart() -> None:
    """Commands, their output and their exit code are told apart; a backslash joins lines."""
    block = _block("$ lab plan \\\n  'a b.toml'\nfirst\n...\n$ echo $?\n4\n$ lab --version\n")
    assert examples_from_block(block) == [
        Example("page.md:11", ("plan", "a b.toml"), ("first", "..."), 4),
        Example("page.md:17", ("--version",), (), 0),
    ]


@pytest.mark.parametrize("body", ["$ lab doctor | head\n", "$ git log\n", "output first\n"])
def test_block_with_something_else_is_refused(body: str) -> None:
    """What cannot be run without a shell does not look as if it had been."""
    with pytest.raises(ValueError, match=r"page\.md:11"):
        examples_from_block(_block(body))


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        (("a", "b"), "a\nb\n", True),
        (("a",), "a\nb\n", False),
        (("a", "..."), "a\nb\nc\n", True),
        (("...", "c"), "a\nb\nc\n", True),
        (("a", "...", "c"), "a\nc\n", True),
        (("t ... s",), "t 12.5 s\n", True),
        (("t ... s",), "t 12.5\n", False),
        (("a+b (c)",), "a+b (c)  \n", True),
    ],
)
def test_output_is_compared(shown: tuple[str, ...], printed: str, fits: bool) -> None:
    """Output is compared line by line, except for what dots stand for."""
    assert matches(shown, printed) is fits


@pytest.mark.parametrize(
    ("argv", "why"), [(("--version",), ""), (("nope",), "no verb 'nope'"), (("--nope",), "No such option")]
)
def test_unknown_words_are_found(argv: tuple[str, ...], why: str) -> None:
    """A call is checked for its verbs and options without being made."""
    assert why in unknown_words(argv) and bool(why) == bool(unknown_words(argv))


def test_every_verb_shows_an_example() -> None:
    """The help of each verb ends with an example, and the example's words exist."""
    for name, command in _verbs(app, ()):
        text = command.help or ""
        calls = re.findall(r"^\s*(?:Examples?: )?(?:\$ )?lab (.*)$", text, re.MULTILINE)
        assert calls, f"lab {' '.join(name)} shows no example in its help"
        for call in calls:
            assert unknown_words(tuple(shlex.split(call, comments=True))) == "", f"lab {call}"


def _verbs(group: click.Group, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield above, group
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _verbs(command, (*above, name))
        else:
            yield (*above, name), command
