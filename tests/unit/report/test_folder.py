import os
from pathlib import Path

from lab.report.folder import evidence_names, evidence_text, folder_names


def test_no_more_evidence_is_read_than_asked_for(tmp_path: Path) -> None:
    """A huge file costs no memory."""
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "x.txt").write_text("abcdef")
    assert evidence_text(tmp_path, "one", "x.txt", limit_bytes=3) == "abc"
    assert evidence_text(tmp_path, "two", "x.txt", limit_bytes=3) is None
    assert evidence_text(tmp_path, "\ud800", "x.txt", limit_bytes=3) is None


def test_evidence_behind_a_link_or_in_a_pipe_is_not_read(tmp_path: Path) -> None:
    """A link could show any file of the reader's machine, and a pipe would be waited for."""
    runs = tmp_path / "runs"
    (runs / "one").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x.txt").write_text("secret")
    (runs / "one" / "x.txt").symlink_to(tmp_path / "secret" / "x.txt")
    (runs / "two").symlink_to(tmp_path / "secret")
    os.mkfifo(runs / "one" / "pipe")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "runs").symlink_to(tmp_path)
    for results, run, name in (
        (tmp_path, "one", "x.txt"),
        (tmp_path, "two", "x.txt"),
        (tmp_path, "one", "pipe"),
        (tmp_path / "other", "secret", "x.txt"),
    ):
        assert evidence_text(results, run, name, limit_bytes=100) is None


def test_evidence_is_listed_without_links(tmp_path: Path) -> None:
    """Names of files, sorted, no more than asked for; nothing of a folder that is a link or is not there."""
    run = tmp_path / "runs" / "one"
    (run / "folder").mkdir(parents=True)
    for name in ("b", "a", "c"):
        (run / name).write_text("x")
    (run / "link").symlink_to(run / "a")
    (tmp_path / "runs" / "two").symlink_to(run)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "runs").symlink_to(tmp_path / "runs")
    assert evidence_names(tmp_path, "one", limit=2) == ("a", "b")
    assert evidence_names(tmp_path, "two", limit=2) == () == evidence_names(tmp_path, "three", limit=2)
    assert evidence_names(tmp_path / "other", "one", limit=2) == () == evidence_names(tmp_path, "\0", limit=2)


def test_folders_are_listed_without_links(tmp_path: Path) -> None:
    """Likewise."""
    (tmp_path / "in" / "b").mkdir(parents=True)
    (tmp_path / "in" / "a").mkdir()
    (tmp_path / "in" / "file").write_text("x")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "in" / "a")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    assert folder_names(tmp_path / "in") == ("a", "b")
    assert folder_names(tmp_path / "link") == () == folder_names(tmp_path / "nowhere")
