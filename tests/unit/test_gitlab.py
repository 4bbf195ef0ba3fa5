"""The pipeline for a bare-metal runner of GitLab: its form by GitLab's schema, its script by running it with fakes."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.command import CommandResult, run
from tests.unit.project import PROJECT

PIPELINE = PROJECT / ".gitlab-ci.yml"
CHECKER = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci")
MESSAGE_ID = "20250213180043.713434-1-stefanha@redhat.com"

FAKE_PROGRAM = """#!/bin/sh
for word; do printf '[%s]' "$word"; done >>"$NOTES/calls"
case "$*" in
  *--install-only) exit "$PREPARED" ;;
  install*) ;;
  *) exit "$CODE" ;;
esac
"""
FAKES = {
    "curl": 'while [ $# -gt 2 ]; do if [ "$1" = --output ]; then to=$2; fi; shift; done; echo "$2" >"$NOTES/url"; '
    'echo "From one" >"$to"',
    "git": 'if [ "$1" = clone ]; then echo "$*" >"$NOTES/clone"; for last; do :; done; mkdir -p "$last"; '
    'else exec "$REAL_GIT" "$@"; fi',
    # makes an environment whose programs note their words, and whose nox ends as told
    "python3": 'mkdir -p "$3/bin"; for name in pip nox; do cp "$FAKE_PROGRAM" "$3/bin/$name"; done',
}


def _job() -> dict[str, Any]:
    job = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["bench"]
    assert isinstance(job, dict)
    return job


def test_pipeline_fits_gitlabs_schema() -> None:
    """It is valid by the schema that check-jsonschema brings along; no network is used."""
    offline = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    result = run([*CHECKER, PIPELINE], env=offline, check=False)
    assert result.returncode == 0, result.tail(20)


def test_schema_finds_mistakes(tmp_path: Path) -> None:
    """The schema check can fail."""
    wrong = tmp_path / "x.yml"
    wrong.write_text(PIPELINE.read_text(encoding="utf-8").replace("  script:", "  scripts:"), encoding="utf-8")
    assert run([*CHECKER, wrong], check=False).returncode == 1


def test_host_is_bare_metal_and_used_by_one() -> None:
    """It asks for a bare-metal runner, alone, and never cuts a measurement short for the next."""
    job = _job()
    assert job["tags"] == ["bare-metal"] and job["resource_group"] == "bare-metal" and job["interruptible"] is False


def test_strangers_code_does_not_reach_the_host() -> None:
    """Merge requests of forks are not run; what is run is started by a member, and uses no secret."""
    rules = [rule["if"] for rule in _job()["rules"]]
    assert len(rules) == 2 and "CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in rules[0]
    assert rules[1] == '$CI_PIPELINE_SOURCE == "web"'
    assert "TOKEN" not in PIPELINE.read_text(encoding="utf-8")


def test_undecided_is_a_warning_and_everything_else_as_it_is() -> None:
    """Only exit code 4 may fail without failing the pipeline."""
    assert _job()["allow_failure"] == {"exit_codes": 4}


def test_records_are_kept_in_any_case() -> None:
    """Report, pictures and records are kept also when the measurement failed; GitLab shows junit.xml as tests."""
    artifacts = _job()["artifacts"]
    assert artifacts["when"] == "always" and artifacts["paths"] == ["results-ci/"]
    assert artifacts["reports"]["junit"] == "results-ci/report/junit.xml"


class _Runner:
    """A checkout as the runner has it, with fake programs before the real ones on PATH."""

    def __init__(self, root: Path) -> None:
        self.project, self.notes, programs = root / "project", root / "notes", root / "bin"
        for folder in (self.project, self.notes, programs):
            folder.mkdir()
        for name, script in FAKES.items():
            (programs / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            (programs / name).chmod(0o755)
        program = root / "program"
        program.write_text(FAKE_PROGRAM, encoding="utf-8")
        program.chmod(0o755)
        self._env = {
            "FAKE_PROGRAM": str(program),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "NOTES": str(self.notes),
            "REAL_GIT": shutil.which("git") or "git",
            "CI_PROJECT_DIR": str(self.project),
            "GIT_CONFIG_GLOBAL": os.devnull,
        }

    def script(self, code: int = 0, **variables: str) -> CommandResult:
        """Run the script of the job, with a measurement that ends as told."""
        (script,) = _job()["script"]
        env = {**self._env, "CODE": str(code), "PREPARED": "0", **variables}
        return run(["bash", "-eo", "pipefail", "-c", script], cwd=self.project, env=env, check=False)

    def words(self) -> list[str]:
        """Return the words that the measurement was called with."""
        calls = (self.notes / "calls").read_text(encoding="utf-8")
        return re.findall(r"\[([^\]]*)\]", calls.partition("[--install-only]")[2])[3:]


@pytest.fixture
def runner(tmp_path: Path) -> _Runner:
    """Return a runner whose network is a file."""
    return _Runner(tmp_path)


@pytest.mark.parametrize(
    ("code", "says"),
    [(0, "Nothing found:"), (1, "Finding:"), (2, "Input:"), (3, "Host:"), (4, "Undecided:"), (130, "Interrupted:")],
)
def test_job_ends_as_the_lab_ends(runner: _Runner, code: int, says: str) -> None:
    """Each exit code is handed on, with a message of its own; the main job runs under KVM or not at all."""
    done = runner.script(code)
    assert done.returncode == code and f"\n{says}" in done.stdout, done.tail()
    assert runner.words() == ["--accelerator=kvm", f"--results={runner.project}/results-ci"]


def test_report_is_shown_in_the_log(runner: _Runner) -> None:
    """The table stands in the log of the job."""
    (runner.project / "results-ci" / "report").mkdir(parents=True)
    (runner.project / "results-ci" / "report" / "summary.md").write_text("| a table |\n", encoding="utf-8")
    assert "| a table |" in runner.script(1).stdout


def test_series_by_message_id(runner: _Runner) -> None:
    """A Message-ID is fetched from the list's archive, and the tree is cloned."""
    done = runner.script(LAB_SERIES=MESSAGE_ID, LAB_JOB="jobs/a b.toml", LAB_PROFILE="full", LAB_BASE="v10.0.0")
    assert done.returncode == 0, done.tail()
    url = (runner.notes / "url").read_text(encoding="utf-8")
    assert url == f"https://lore.kernel.org/qemu-devel/{MESSAGE_ID}/t.mbox.gz\n"
    assert runner.words()[2:] == [
        "--job=jobs/a b.toml",
        "--profile=full",
        f"--tree={runner.project}/.qemu",
        "--base=v10.0.0",
        f"--series={runner.project}/series.mbox",
    ]


@pytest.mark.parametrize("merged", [False, True], ids=["its own head", "merged results"])
def test_merge_request_of_qemu_runs_its_own_commits(runner: _Runner, *, merged: bool) -> None:
    """In a project of QEMU the series is what the merge request adds to the commit it was begun at, and no more."""

    def git(*words: str) -> str:
        name = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        return run(["git", *name, "-C", runner.project, *words]).stdout.strip()

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "zero")
    base = git("rev-parse", "HEAD")
    (runner.project / "file").write_text("x", encoding="utf-8")
    git("add", "file")
    git("commit", "--quiet", "--message", "add one")
    head = git("rev-parse", "HEAD")
    variables = {"CI_COMMIT_SHA": head}
    if merged:  # what the target got meanwhile, and a merge of the two
        git("checkout", "--quiet", "-b", "target", base)
        git("commit", "--quiet", "--allow-empty", "--message", "of others")
        (runner.project / "other").write_text("y", encoding="utf-8")
        git("add", "other")
        git("commit", "--quiet", "--message", "of others too")
        git("merge", "--quiet", "--message", "merge", head)
        variables = {"CI_COMMIT_SHA": git("rev-parse", "HEAD"), "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": head}
    request = {"LAB_REPOSITORY": "https://example.org/lab.git", "CI_MERGE_REQUEST_DIFF_BASE_SHA": base}
    done = runner.script(0, **request, **variables)
    assert done.returncode == 0, done.tail()
    assert runner.words()[2:] == [
        f"--tree={runner.project}",
        f"--base={base}",
        f"--series={runner.project}/series.mbox",
    ]
    series = (runner.project / "series.mbox").read_text(encoding="utf-8")
    assert "Subject: [PATCH] add one" in series and "of others" not in series


def test_a_host_that_cannot_install_nox_is_no_finding(runner: _Runner) -> None:
    """A runner without python3-venv, or without the network, says nothing about the series."""
    (runner.notes.parent / "bin" / "python3").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    done = runner.script()
    assert done.returncode == 3 and "\nHost:" in done.stdout


@pytest.mark.parametrize("code", ["1", "3"])
def test_what_nox_cannot_prepare_is_no_finding(runner: _Runner, code: str) -> None:
    """nox ends with 1 where it cannot make its environment, and nothing is measured then."""
    done = runner.script(PREPARED=code)
    assert done.returncode == 3 and "\nHost:" in done.stdout and not runner.words()


def test_a_merge_request_without_a_common_commit_is_refused(runner: _Runner) -> None:
    """git ends with 1 there, which would read as a finding."""
    run(["git", "init", "--quiet", runner.project])
    told = {"LAB_REPOSITORY": "https://example.org/lab.git", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "0" * 40}
    done = runner.script(0, CI_COMMIT_SHA="1" * 40, **told)
    assert done.returncode == 2 and "Input: the merge request has no commit in common" in done.stdout


def test_a_command_that_fails_is_no_verdict(runner: _Runner) -> None:
    """Any program may end with 1 or 4; only the lab's exit code means what it says."""
    (runner.notes.parent / "bin" / "mv").write_text("#!/bin/sh\nexit 4\n", encoding="utf-8")
    (runner.notes.parent / "bin" / "mv").chmod(0o755)
    (runner.notes.parent / "bin" / "gzip").write_text("#!/bin/sh\n", encoding="utf-8")
    (runner.notes.parent / "bin" / "gzip").chmod(0o755)
    done = runner.script(LAB_SERIES=MESSAGE_ID)
    assert done.returncode == 3 and "Host: a command failed" in done.stdout


def test_a_fetch_that_fails_is_never_undecided(runner: _Runner) -> None:
    """curl has an exit code 4 of its own, which GitLab would let pass."""
    (runner.notes.parent / "bin" / "curl").write_text("#!/bin/sh\nexit 4\n", encoding="utf-8")
    done = runner.script(LAB_SERIES=MESSAGE_ID)
    assert done.returncode == 3 and "could not be fetched" in done.stdout


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"LAB_SERIES": "a/../../b@example.org"}, "not a Message-ID"),
        ({"LAB_SERIES": "a b@example.org"}, "not a Message-ID"),
        ({"LAB_SERIES": MESSAGE_ID, "LAB_TREE": "ext::sh -c id"}, "must be an https URL"),
        ({"LAB_REPOSITORY": "--upload-pack=id"}, "must be an https URL"),
        ({"LAB_SERIES": "nowhere.mbox"}, "Input: there is no such file"),
    ],
)
def test_wrong_input_is_refused(runner: _Runner, wrong: dict[str, str], why: str) -> None:
    """What is not a series, or not a tree on the web, is refused before anything is cloned or measured."""
    done = runner.script(0, **wrong)
    assert done.returncode != 0 and why in done.stdout + done.stderr
    assert not (runner.notes / "clone").exists() and not (runner.notes / "calls").exists()
