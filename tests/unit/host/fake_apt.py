"""An apt that runs nothing: it answers the words it was told about and refuses all others."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lab.command import CommandResult, text_from_argv
from lab.errors import CommandError

Answer = str | CommandResult | Callable[[Path | None], str]


def result(returncode: int = 0, stdout: str = "", stderr: str = "") -> CommandResult:
    """Return what a command left behind."""
    return CommandResult((), returncode, stdout, stderr)


class FakeApt:
    """Stands for :func:`lab.command.run`.

    :param answers: beginning of a command line to what it prints, what it leaves behind, or a function of the working
        folder that makes files there. The longest beginning counts.
    """

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = dict(answers)
        self.calls: list[str] = []
        self.configurations: list[Path] = []

    def __call__(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
        check: bool = True,
    ) -> CommandResult:
        """Answer, or fail as the real one does."""
        assert timeout_s > 0
        line = text_from_argv([str(word) for word in argv])
        self.calls.append(line)
        if env is not None:
            self.configurations.append(Path(env["APT_CONFIG"]))
        known = max((known for known in self.answers if line.startswith(known)), key=len, default=None)
        assert known is not None, f"nobody said what '{line}' answers"
        answer = self.answers[known]
        if callable(answer):
            answer = answer(cwd)
        found = result(stdout=answer) if isinstance(answer, str) else answer
        if check and found.returncode != 0:
            raise CommandError(f"'{line}' failed with exit status {found.returncode}:\n{found.tail()}")
        return found

    def count(self, beginning: str) -> int:
        """Return how many commands began like this."""
        return sum(call.startswith(beginning) for call in self.calls)


def host_answers(folder: Path, sources: str) -> dict[str, Answer]:
    """Return the answers of a host whose sources.list has this content.

    :param folder: stands for ``/etc/apt``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(sources)
    shell = f"L={json.dumps(str(folder / 'sources.list'))}\nP={json.dumps(str(folder / 'sources.list.d'))}\n"
    dump = (
        'APT::Architecture "amd64";\nAPT::Update::Post-Invoke:: "rm -rf /";\nAcquire::http::Proxy "http://proxy:3128";\n'
        'Acquire::AllowInsecureRepositories "1";\nAcquire::IndexTargets::deb::Contents-deb::MetaKey "x";\n'
    )
    return {"apt-config shell": shell, "apt-config dump": dump, "apt-get update": "Reading package lists...\n"}
