from __future__ import annotations

import base64
import quopri
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import InputError
from lab.series.read import read_series, series_from_range
from lab.series.repository import Repository
from lab.series.series import Series, json_from_series
from tests.unit.series.letters import box_file, diff, letter, make_tree, mbox, patch_letter

FILE = "one\ntwo\nthree\n"


def test_the_json_form_has_every_key_that_scripts_rely_on(tmp_path: Path) -> None:
    """The contract of ``lab series show --json``."""
    value = json_from_series(read_series(box_file(tmp_path, patch_letter("[PATCH] scsi: fix", id_="m@x"))))
    assert {"title", "revision", "expected", "complete", "missing", "patches", "base_commit"} <= set(value)
    (patch,) = value["patches"]
    assert {"index", "subject", "author", "message_id", "patch_id", "files"} <= set(patch)
    assert (patch["subject"], patch["message_id"], patch["files"]) == ("scsi: fix", "m@x", ["hw/scsi/lun.c"])
    assert len(patch["patch_id"]) == 40
    assert value["base_commit"] is None and value["cover"] is None


def test_missing_patches_are_named_and_refused(tmp_path: Path) -> None:
    """Unless the user wants to go on without them."""
    path = box_file(tmp_path, patch_letter("[PATCH 1/3] a"), patch_letter("[PATCH 3/3] c"))
    with pytest.raises(InputError, match="patch 2/3 is missing") as caught:
        read_series(path)
    assert "'lab build' go on without the rest with --partial" in caught.value.remedy
    series = read_series(path, partial=True)
    assert (series.missing, series.complete) == ((2,), False)
    assert series.files == ("hw/scsi/lun.c",)


def test_errors_name_the_file(tmp_path: Path) -> None:
    """Several mailboxes may be under way."""
    with pytest.raises(InputError, match=r"series\.mbox: there is no patch"):
        read_series(box_file(tmp_path, letter("hello")))


def encoded(how: str, body: bytes, charset: str = "utf-8", kind: str = "") -> bytes:
    """Return a mail with an encoded body."""
    headers = f"MIME-Version: 1.0\nContent-Type: text/plain; charset={charset}{kind}\nContent-Transfer-Encoding: {how}"
    encoders = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}
    encode = encoders.get(how, bytes)
    return letter("[PATCH] x", headers=headers).rstrip(b"\n") + b"\n\n" + encode(body)


BODY = f"Grün\n---\n\n{diff(new='zwölf')}--\n2.39\n"


@pytest.mark.parametrize("how", ["8bit", "base64", "quoted-printable"])
def test_a_patch_survives_its_transfer_encoding(tmp_path: Path, how: str) -> None:
    """The diff is the same bytes, the message the same text."""
    (patch,) = read_series(box_file(tmp_path, encoded(how, BODY.encode()))).patches
    assert patch.diff.decode().rstrip("\n") == f"---\n\n{diff(new='zwölf')}--\n2.39"
    assert patch.message == "x\n\nGrün\n"


def test_a_patch_in_another_charset_keeps_its_bytes(tmp_path: Path) -> None:
    """The message becomes UTF-8; the diff is what the file must become."""
    (patch,) = read_series(box_file(tmp_path, encoded("8bit", BODY.encode("latin-1"), "iso-8859-1"))).patches
    assert patch.message == "x\n\nGrün\n"
    assert "zwölf".encode("latin-1") in patch.diff


def test_a_patch_in_a_charset_that_does_not_exist_is_read(tmp_path: Path) -> None:
    """Git refuses to convert it; it is taken as it is."""
    (patch,) = read_series(box_file(tmp_path, encoded("8bit", BODY.encode(), "x-none"))).patches
    assert "zwölf".encode() in patch.diff


def test_flowed_text_is_unstuffed(tmp_path: Path) -> None:
    """Lines that begin with a space got another one on their way (RFC 3676)."""
    stuffed = BODY.replace("\n one", "\n  one").replace("\n three", "\n  three")
    (patch,) = read_series(box_file(tmp_path, encoded("8bit", stuffed.encode(), kind="; format=flowed"))).patches
    assert b"\n one\n" in patch.diff


BLANK = diff().replace("@@ -1,3 +1,3 @@\n one", "@@ -1,4 +1,4 @@\n one\n ")
"""A diff with an empty line of context, which is a space."""


@pytest.mark.parametrize("how", ["8bit", "base64", "quoted-printable"])
def test_an_empty_line_of_context_does_not_flow(tmp_path: Path, how: str) -> None:
    """Flowed, a line that ends with a space goes on in the next one; a diff has no such lines."""
    stuffed = f"Why.\n---\n\n{BLANK}-- \n2.39\n".replace("\n ", "\n  ")
    (patch,) = read_series(box_file(tmp_path, encoded(how, stuffed.encode(), kind="; format=flowed"))).patches
    assert BLANK in patch.diff.decode()
    assert patch.message == "x\n\nWhy.\n"


def test_a_long_line_that_was_broken_is_joined(tmp_path: Path) -> None:
    """There the lines do flow, and taking them as fixed would cut the hunk short."""
    broken = BODY.replace("zwölf", "zwölf und \ndreizehn").replace("\n one", "\n  one").replace("\n three", "\n  three")
    (patch,) = read_series(box_file(tmp_path, encoded("8bit", broken.encode(), kind="; format=flowed"))).patches
    assert "+zwölf und dreizehn\n" in patch.diff.decode()


def test_flowed_parts_of_a_larger_mail_are_gits_to_read(tmp_path: Path) -> None:
    """Only a mail of one part is taken apart here."""
    part = f"Content-Type: text/plain; format=flowed\n\nWhy.\n\n---\n{diff()}"
    raw = letter(
        "[PATCH] x", f"--b\n{part}\n--b--\n", headers='MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"'
    )
    (patch,) = read_series(box_file(tmp_path, raw)).patches
    assert patch.files == ("hw/scsi/lun.c",)


@pytest.mark.parametrize("how", ["8bit", "base64", "quoted-printable"])
def test_line_ends_of_mail_are_undone(tmp_path: Path, how: str) -> None:
    """CR LF within base64 is the sender's program's doing where headers of the diff have it, too."""
    (patch,) = read_series(box_file(tmp_path, encoded(how, BODY.replace("\n", "\r\n").encode()))).patches
    assert b"\r" not in patch.diff and "zwölf\n" in patch.diff.decode()


def test_line_ends_of_the_file_are_kept(tmp_path: Path) -> None:
    """A file with CR LF, changed in a mail without."""
    body = BODY.replace("zwölf\n", "zwölf\r\n")
    (patch,) = read_series(box_file(tmp_path, encoded("base64", body.encode()))).patches
    assert "+zwölf\r\n" in patch.diff.decode()


def test_an_attached_patch_is_a_patch(tmp_path: Path) -> None:
    """Some cannot send it inline."""
    body = (
        f"--b\nContent-Type: text/plain\n\nWhy.\n\n--b\nContent-Type: text/x-patch; name=x.patch\n"
        f"Content-Disposition: attachment\n\n---\n{diff()}\n--b--\n"
    )
    raw = letter("[PATCH] x", body, headers='MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"')
    (patch,) = read_series(box_file(tmp_path, raw)).patches
    assert patch.files == ("hw/scsi/lun.c",)


def test_the_author_is_who_wrote_it_not_who_sent_it(tmp_path: Path) -> None:
    """A From: line at the top of the body."""
    raw = patch_letter("[PATCH] x", text="From: Writer <w@example.org>\n\nWhy.")
    (patch,) = read_series(box_file(tmp_path, raw)).patches
    assert patch.author == "Writer <w@example.org>"


def test_encoded_headers_become_the_author_and_the_subject(tmp_path: Path) -> None:
    """RFC 2047."""
    raw = patch_letter("=?utf-8?q?=5BPATCH_1/1=5D_gr=C3=BCn?=", sender="=?utf-8?q?J=C3=BCrgen?= <j@example.org>")
    (patch,) = read_series(box_file(tmp_path, raw)).patches
    assert (patch.subject, patch.author) == ("grün", "Jürgen <j@example.org>")


def tree(folder: Path) -> tuple[Path, Repository, tuple[str, ...]]:
    """Return a bare repository with three commits on the branch topic."""
    repository, commits = make_tree(
        folder / "r.git", {"x": FILE}, {"x": FILE.replace("two", "zwei")}, {"x": FILE.replace("two", "deux")}
    )
    return repository.git_dir, repository, commits


def test_a_range_of_commits_is_a_series(tmp_path: Path) -> None:
    """With the base written down."""
    path, _, commits = tree(tmp_path)
    series = series_from_range(path, f"{commits[0]}..topic")
    assert [(patch.index, patch.subject) for patch in series.patches] == [(1, "commit 1"), (2, "commit 2")]
    assert (series.expected, series.base_commit) == (2, commits[0])


@pytest.mark.parametrize("range_", ["topic", "..topic", "a...topic", "topic~1"])
def test_what_is_no_range_is_refused(tmp_path: Path, range_: str) -> None:
    """With an example of one."""
    with pytest.raises(InputError, match="not a range"):
        series_from_range(tree(tmp_path)[0], range_)


def test_an_empty_range_is_refused(tmp_path: Path) -> None:
    """There is nothing to apply."""
    with pytest.raises(InputError, match="no commit is in"):
        series_from_range(tree(tmp_path)[0], "topic..topic")


def test_a_range_of_unknown_commits_is_refused(tmp_path: Path) -> None:
    """The name that is not known is said."""
    with pytest.raises(InputError, match="no commit called 'v99'"):
        series_from_range(tree(tmp_path)[0], "v99..topic")


def test_a_range_whose_base_is_no_ancestor_has_no_base_commit(tmp_path: Path) -> None:
    """Two lines of development; git refuses to write a base."""
    path, repository, commits = tree(tmp_path)
    tree_id = repository.tree_id(commits[0])
    env = {f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    other = repository.git("commit-tree", tree_id, "-p", commits[0], "-m", "other", env=env).stdout.strip()
    series = series_from_range(path, f"{other}..topic")
    assert (len(series.patches), series.base_commit) == (2, "")


SUBJECTS = st.sampled_from(
    ["[PATCH] x", "[PATCH v2 1/2] x", "[PATCH v2 2/2] y", "Re: [PATCH v2 1/2] x", "x", "=?a?b?c?="]
)
BODIES = st.sampled_from([diff(), "> " + diff(), "--- a/x\n+++ b/x\n@@ -1 +1 @@\n", "words", "\x00\udcff", ""])


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(SUBJECTS, BODIES, st.sampled_from(["", "a", "b"]), st.sampled_from(["", "a", "b"])), max_size=4)
)
def test_a_mailbox_is_a_series_or_an_input_error(parts: list[tuple[str, str, str, str]]) -> None:
    """Whatever it holds, and whoever answers whom, itself included."""
    mails = [
        letter(subject, headers="Content-Transfer-Encoding: 8bit", id_=id_, answers=answers).rstrip(b"\n")
        + b"\n\n"
        + body.encode(errors="surrogateescape")
        for subject, body, id_, answers in parts
    ]
    with tempfile.TemporaryDirectory() as folder:
        try:
            series = read_series(box_file(Path(folder), *mails), partial=True)
        except InputError:
            return
    assert series.patches and len({patch.index for patch in series.patches}) == len(series.patches)


def test_a_whole_thread_is_read(tmp_path: Path) -> None:
    """Two revisions, answers and a cover letter in an mboxrd, as an archive hands it out."""
    path = tmp_path / "t.mbox"
    path.write_bytes(
        mbox(
            letter("[PATCH v2 0/2] the series", ">From what I see\n", id_="c2", answers="c1"),
            patch_letter("[PATCH v2 2/2] b", id_="b2", answers="c2"),
            patch_letter("[PATCH v2 1/2] a", id_="a2", answers="c2"),
            letter("Re: [PATCH v2 1/2] a", f"> old\n{diff()}\nReviewed-by: R <r@x>\n", id_="r", answers="a2"),
            letter("[PATCH 0/1] the series", id_="c1"),
            patch_letter("[PATCH 1/1] a", id_="a1", answers="c1"),
        )
    )
    series = read_series(path)
    assert isinstance(series, Series)
    assert (series.title, series.revision, series.revisions, len(series.patches)) == ("the series", 2, (1, 2), 2)
    assert series.patches[0].trailers == ("Reviewed-by: R <r@x>",)


def test_very_many_missing_patches_are_counted(tmp_path: Path) -> None:
    """The first few are named."""
    with pytest.raises(InputError, match="patch 2/9999, 3/9999, 4/9999, 5/9999, 6/9999 and 9993 more is missing"):
        read_series(box_file(tmp_path, patch_letter("[PATCH 1/9999] x")))
