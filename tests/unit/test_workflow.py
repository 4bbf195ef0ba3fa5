"""The workflow for a bare-metal runner: its form by GitHub's schema, its scripts by running them with fakes around."""

from __future__ import annotations

import gzip
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

WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
BENCH = PROJECT / ".github" / "workflows" / "bench.yml"
CHECKER = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows")
SHELL = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail")  # as the runner calls it
MESSAGE_ID = "20250213180043.713434-1-stefanha@redhat.com"


def _workflow(path: Path = BENCH) -> dict[str, Any]:
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    # YAML 1.1 reads a bare "on" as a truth value.
    return {"on" if key is True else key: value for key, value in loaded.items()}


def _steps() -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in _workflow()["jobs"]["bench"]["steps"]}


EVERY_STEP = [step for path in WORKFLOWS for job in _workflow(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_fits_githubs_schema(path: Path) -> None:
    """Each workflow is valid by the schema that check-jsonschema brings along; no network is used."""
    offline = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    result = run([*CHECKER, path], env=offline, check=False)
    assert result.returncode == 0, result.tail(20)


def test_schema_finds_mistakes(tmp_path: Path) -> None:
    """The schema check can fail."""
    wrong = tmp_path / "bench.yml"
    wrong.write_text(BENCH.read_text(encoding="utf-8").replace("runs-on:", "run-on:"), encoding="utf-8")
    assert run([*CHECKER, wrong], check=False).returncode == 1


def test_it_runs_on_pull_requests_and_by_hand() -> None:
    """A pull request starts it, and so does a person who names a series."""
    events = _workflow()["on"]
    assert set(events) == {"pull_request", "workflow_dispatch"}
    assert "series" in events["workflow_dispatch"]["inputs"]


def test_host_is_bare_metal_and_used_by_one() -> None:
    """It asks for a self-hosted bare-metal runner, alone, and never cuts a measurement short for the next."""
    job = _workflow()["jobs"]["bench"]
    assert set(job["runs-on"]) == {"self-hosted", "bare-metal"}
    assert job["concurrency"] == {"group": "bare-metal", "cancel-in-progress": False}
    assert job["timeout-minutes"] <= 480


def test_a_run_that_measures_nothing_pushes_none_out_of_the_queue() -> None:
    """GitHub cancels what waits in a group for what comes after it; a fork's run would come and then skip the job."""
    workflow = _workflow()
    assert "concurrency" not in workflow and "concurrency" not in workflow["jobs"]["verdict"]


def test_it_may_read_and_nothing_else() -> None:
    """The token on the host reads the repository; no step keeps it, and no secret is used."""
    assert _workflow()["permissions"] == {"contents": "read"}
    assert "permissions" not in _workflow()["jobs"]["bench"]
    checkouts = [step for step in _steps().values() if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == 2 and not any(step["with"]["persist-credentials"] for step in checkouts)
    assert "secrets." not in BENCH.read_text(encoding="utf-8")


def test_strangers_code_does_not_reach_the_host() -> None:
    """Pull requests from forks are not run: the host is somebody's own."""
    assert "head.repo.full_name == github.repository" in _workflow()["jobs"]["bench"]["if"]


@pytest.mark.parametrize("step", EVERY_STEP, ids=lambda step: step["name"])
def test_actions_are_pinned_and_scripts_are_scripts(step: dict[str, Any]) -> None:
    """An action is named by a commit, which nobody can move; a script holds no expression: its value would be code."""
    if "uses" in step:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
    else:
        assert "${{" not in step["run"]
        run(["bash", "-n"], stdin=step["run"].encode())


@pytest.mark.parametrize("name", ["Show the report", "Keep the pictures", "Keep report and records"])
def test_results_are_kept_in_any_case(name: str) -> None:
    """Report, charts and records are kept also when the measurement failed."""
    assert _steps()[name]["if"] == "always()"


FAKE_CURL = """
while [ $# -gt 2 ]; do
  if [ "$1" = --output ]; then to=$2; fi
  shift
done
echo "$2" >{temp}/url
cp {temp}/remote "$to"
"""

FAKE_GIT = """
[ "$1" = clone ] || exec {git} "$@"
echo "$@" >{temp}/clone
"""

# `python3 -m venv DIR` makes a pip that succeeds and a nox that ends as told; both note their words.
FAKE_VENV = """
mkdir -p "$3/bin"
for program in pip nox; do
  cat >"$3/bin/$program" <<'END'
#!/bin/sh
for word in "$@"; do printf '[%s]' "$word" >>{temp}/calls; done
case "$*" in
  *--install-only) exit {prepared} ;;
  install*) ;;
  *) exit {code} ;;
esac
END
  chmod +x "$3/bin/$program"
done
"""


class _Runner:
    """A folder as the runner has it, with fake programs before the real ones on PATH."""

    def __init__(self, root: Path) -> None:
        self.lab, self.temp, self._programs = root / "lab", root / "temp", root / "bin"
        for folder in (self.lab, self.temp, self._programs):
            folder.mkdir()

    def fake(self, program: str, script: str) -> None:
        """Put a shell script in place of a program."""
        path = self._programs / program
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def step(self, name: str, **env: str) -> CommandResult:
        """Run the script of a step of the measuring job."""
        return self.script(_steps()[name], **env)

    def script(self, step: dict[str, Any], **env: str) -> CommandResult:
        """Run a script as the runner does; every variable the step gets is there, empty by default."""
        expected = dict.fromkeys(step.get("env", {}), "")
        assert env.keys() <= expected.keys()
        everything = {
            **expected,
            **env,
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_OUTPUT": str(self.temp / "output"),
            "GITHUB_STEP_SUMMARY": str(self.temp / "summary"),
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        script = self.temp / "script.sh"
        script.write_text(step["run"], encoding="utf-8")
        return run([*SHELL, script], cwd=self.lab, env=everything, check=False)

    def arguments(self) -> list[str]:
        """Return the arguments that the measuring step will use."""
        return (self.temp / "arguments").read_text(encoding="utf-8").rstrip("\0").split("\0")


@pytest.fixture
def runner(tmp_path: Path) -> _Runner:
    """Return a runner whose network is a file: curl and git clone note what they were asked for."""
    made = _Runner(tmp_path)
    made.fake("curl", FAKE_CURL.format(temp=made.temp))
    (made.temp / "remote").write_text("From one\n", encoding="utf-8")
    made.fake("git", FAKE_GIT.format(temp=made.temp, git=shutil.which("git")))
    return made


def test_pull_request_of_the_lab_runs_the_main_job(runner: _Runner) -> None:
    """Without a series the main job's own is run, under KVM or not at all."""
    assert runner.step("Find the series", EVENT="pull_request").returncode == 0
    assert runner.arguments() == ["--accelerator=kvm", "--results=results/ci"]


def test_pull_request_of_qemu_is_the_series(runner: _Runner) -> None:
    """In a repository of QEMU the pull request's own commits are the series, on the commit they were begun at."""
    qemu = runner.lab.parent / "qemu"
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")

    def git(*words: str) -> str:
        return run(["git", "-C", qemu, *identity, *words]).stdout.strip()

    def commit(name: str) -> str:
        (qemu / name).write_text(name, encoding="utf-8")
        git("add", name)
        git("commit", "--quiet", "--message", f"add {name}")
        return git("rev-parse", "HEAD")

    run(["git", "init", "--quiet", "--initial-branch=master", qemu])
    fork = commit("zero")
    git("checkout", "--quiet", "-b", "topic")
    commit("one")
    head = commit("two")
    git("checkout", "--quiet", "master")
    base = commit("meanwhile")
    done = runner.step("Find the series", EVENT="pull_request", LAB_REPOSITORY="a/lab", BASE_SHA=base, HEAD_SHA=head)
    assert done.returncode == 0, done.tail()
    series = runner.temp / "series.mbox"
    assert runner.arguments()[2:] == ["--tree=../qemu", f"--base={fork}", f"--series={series}"]
    subjects = re.findall(r"^Subject: (.*)$", series.read_text(encoding="utf-8"), re.MULTILINE)
    assert subjects == ["[PATCH 1/2] add one", "[PATCH 2/2] add two"]


def test_a_pull_request_without_a_common_commit_is_refused(runner: _Runner) -> None:
    """There is no series then, which is a matter of input and no finding."""
    run(["git", "init", "--quiet", runner.lab.parent / "qemu"])
    told = {"EVENT": "pull_request", "LAB_REPOSITORY": "a/lab", "BASE_SHA": "0" * 40, "HEAD_SHA": "1" * 40}
    done = runner.step("Find the series", **told)
    assert done.returncode != 0 and "::error title=Input::the pull request has no commit in common" in done.stdout


BY_HAND = {"EVENT": "workflow_dispatch", "TREE": "https://example.org/qemu.git", "BASE": "v10.0.0"}


def test_series_by_message_id(runner: _Runner) -> None:
    """A Message-ID is fetched from the list's archive, compressed as it comes."""
    (runner.temp / "remote").write_bytes(gzip.compress(b"From one\n"))
    done = runner.step("Find the series", **BY_HAND, SERIES=MESSAGE_ID)
    assert done.returncode == 0, done.tail()
    assert (runner.temp / "url").read_text(
        encoding="utf-8"
    ) == f"https://lore.kernel.org/qemu-devel/{MESSAGE_ID}/t.mbox.gz\n"
    assert (runner.temp / "series.mbox").read_text(encoding="utf-8") == "From one\n"
    assert runner.arguments()[2:] == ["--tree=../qemu", "--base=v10.0.0", f"--series={runner.temp}/series.mbox"]
    clone = (runner.temp / "clone").read_text(encoding="utf-8")
    assert clone == "clone --quiet --no-checkout -- https://example.org/qemu.git ../qemu\n"


def test_series_by_url(runner: _Runner) -> None:
    """A URL is fetched as it is."""
    done = runner.step("Find the series", **BY_HAND, SERIES="https://example.org/my.mbox")
    assert done.returncode == 0, done.tail()
    assert (runner.temp / "url").read_text(encoding="utf-8") == "https://example.org/my.mbox\n"


def test_series_in_the_repository(runner: _Runner) -> None:
    """A file of the repository is taken from there."""
    (runner.lab / "my series.mbox").write_text("From two\n", encoding="utf-8")
    done = runner.step("Find the series", **BY_HAND, SERIES="my series.mbox", JOB="jobs/x.toml", PROFILE="full")
    assert done.returncode == 0, done.tail()
    assert (runner.temp / "series.mbox").read_text(encoding="utf-8") == "From two\n"
    assert runner.arguments()[2:4] == ["--job=jobs/x.toml", "--profile=full"]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"SERIES": "a/../../b@example.org"}, "not a Message-ID"),
        ({"SERIES": "a@example.org/../x"}, "not a Message-ID"),
        ({"SERIES": "a@"}, "not a Message-ID"),
        ({"SERIES": "a b@example.org"}, "not a Message-ID"),
        ({"SERIES": MESSAGE_ID, "TREE": "ext::sh -c id"}, "must be an https URL"),
        ({"SERIES": MESSAGE_ID, "TREE": "--upload-pack=id"}, "must be an https URL"),
        ({"SERIES": "nowhere.mbox"}, "title=Input::there is no such file"),
    ],
)
def test_wrong_input_is_refused(runner: _Runner, wrong: dict[str, str], why: str) -> None:
    """What is not a series, or not a tree on the web, is refused before anything is fetched or measured."""
    done = runner.step("Find the series", **{**BY_HAND, **wrong})
    assert done.returncode != 0 and why in done.stdout + done.stderr
    assert not (runner.temp / "arguments").exists() and not (runner.temp / "clone").exists()


@pytest.mark.parametrize("code", [0, 1, 3, 4, 70])
def test_exit_code_is_handed_on(runner: _Runner, code: int) -> None:
    """The measuring step runs ``nox -s bench`` with the arguments, as they are, and keeps its exit code for later."""
    (runner.temp / "arguments").write_text("--accelerator=kvm\0--job=a b\n--x\0", encoding="utf-8")
    runner.fake("python3", FAKE_VENV.format(temp=runner.temp, code=code, prepared=0))
    assert runner.step("Measure").returncode == 0
    assert (runner.temp / "output").read_text(encoding="utf-8") == f"code={code}\n"
    calls = (runner.temp / "calls").read_text(encoding="utf-8")
    prepared, measured = "[-s][bench][--install-only]", "[-s][bench][--][--accelerator=kvm][--job=a b\n--x]"
    assert calls == f"[install][--quiet][nox]{prepared}{measured}"


@pytest.mark.parametrize("code", [1, 3])
def test_what_nox_cannot_prepare_is_no_finding(runner: _Runner, code: int) -> None:
    """nox ends with 1 where it cannot make its environment, and nothing is measured then."""
    (runner.temp / "arguments").write_text("", encoding="utf-8")
    runner.fake("python3", FAKE_VENV.format(temp=runner.temp, code=0, prepared=code))
    assert runner.step("Measure").returncode == 0
    assert (runner.temp / "output").read_text(encoding="utf-8") == "code=3\n"


def test_a_host_without_python_s_venv_cannot_do_it(runner: _Runner) -> None:
    """Debian packs venv apart; that is the host's matter, not a finding."""
    (runner.temp / "arguments").write_text("", encoding="utf-8")
    runner.fake("python3", "exit 1")
    assert runner.step("Measure").returncode == 0
    assert (runner.temp / "output").read_text(encoding="utf-8") == "code=3\n"


def test_a_fetch_that_fails_says_nothing_about_the_series(runner: _Runner) -> None:
    """The network is the host's matter, too."""
    runner.fake("curl", "exit 22")
    done = runner.step("Find the series", **BY_HAND, SERIES=MESSAGE_ID)
    assert done.returncode != 0 and "::error title=Host::The series could not be fetched" in done.stdout


@pytest.mark.parametrize(
    ("code", "passes", "says"),
    [
        ("0", True, "::notice title=Nothing found::"),
        ("1", False, "::error title=Finding::"),
        ("2", False, "::error title=Input::"),
        ("3", False, "::error title=Host::"),
        ("4", True, "::warning title=Undecided::"),
        ("130", False, "::error title=Interrupted::"),
        ("70", False, "::error title=Internal error::"),
        ("", False, "::error title=Internal error::"),
    ],
)
def test_result_of_the_job(runner: _Runner, code: str, passes: bool, says: str) -> None:
    """The job passes or fails by the lab's exit code, and each has a message of its own."""
    done = runner.step("Result", CODE=code)
    assert (done.returncode == 0, done.stdout.startswith(says)) == (passes, True)


def test_the_tree_of_the_run_before_is_removed(runner: _Runner) -> None:
    """A runner of one's own keeps its folders, and git clones into none that is there."""
    left = runner.lab.parent / "qemu"
    left.mkdir()
    (left / "of-the-run-before").write_text("", encoding="utf-8")
    done = runner.step("Find the series", **BY_HAND, SERIES=MESSAGE_ID)
    assert done.returncode == 0 and not left.exists(), done.tail()


@pytest.mark.parametrize(
    ("code", "conclusion"),
    [("0", "success"), ("1", "failure"), ("3", "failure"), ("4", "neutral"), ("", "failure"), ("$(x)", "failure")],
)
def test_undecided_is_neutral(runner: _Runner, code: str, conclusion: str) -> None:
    """Only a check can be neutral; what may set one is a job on GitHub's machine that sees nothing but an exit code.

    It sets one each time, also where the job ended without an exit code, or what an earlier run said would stand.
    """
    job = _workflow()["jobs"]["verdict"]
    assert (job["needs"], job["if"]) == ("bench", "always() && needs.bench.result != 'skipped'")
    assert (job["permissions"], job["runs-on"]) == ({"checks": "write"}, "ubuntu-latest")
    assert _workflow()["jobs"]["bench"]["outputs"] == {"code": "${{ steps.measure.outputs.code }}"}
    (step,) = job["steps"]
    runner.fake("gh", f"printf '%s\\n' \"$@\" >{runner.temp}/asked")
    told = {"REPOSITORY": "a/qemu", "COMMIT": "c0ffee", "RUN": "https://x/runs/1", "GH_TOKEN": "t"}
    done = runner.script(step, CODE=code, **told)
    assert done.returncode == 0, done.tail()
    asked = (runner.temp / "asked").read_text(encoding="utf-8").splitlines()
    assert asked[:3] == ["api", "--silent", "repos/a/qemu/check-runs"]
    assert {"name=verdict", "head_sha=c0ffee", "status=completed", f"conclusion={conclusion}"} <= set(asked)


def test_report_is_shown(runner: _Runner) -> None:
    """The short report becomes the summary of the job, with links to the pictures; where there is none, it says so."""
    assert runner.step("Show the report").returncode == 0
    assert "no report" in (runner.temp / "summary").read_text(encoding="utf-8")
    report = runner.lab / "results" / "ci" / "report"
    report.mkdir(parents=True)
    (report / "summary.md").write_text("# IOPS\n", encoding="utf-8")
    assert runner.step("Show the report", PICTURES="https://x/1", RECORDS="https://x/2").returncode == 0
    shown = (runner.temp / "summary").read_text(encoding="utf-8")
    assert "# IOPS\n" in shown and "(https://x/1)" in shown and "(https://x/2)" in shown


def test_pictures_are_an_artifact_of_their_own() -> None:
    """Somebody who wants to see them need not fetch the records of every run."""
    paths = _steps()["Keep the pictures"]["with"]["path"].split()
    assert {path.rpartition("*")[2].rpartition("/")[2] for path in paths} == {".png", ".svg", "report.html"}
