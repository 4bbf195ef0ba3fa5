from __future__ import annotations

from pathlib import Path

from lab.host.apt_sources import (
    AptSource,
    deb822_from_sources,
    read_sources,
    sources_from_deb822,
    sources_from_one_line,
)

DEB822 = """\
# the distribution
Types: deb deb-src
URIs: http://mirror.example/debian/ http://other.example/debian
Suites: bookworm bookworm-updates
# a comment inside
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: http://mirror.example/sources-only
Suites: bookworm
Components: main

Types: deb
URIs: http://mirror.example/off
Suites: bookworm
Components: main
Enabled: no

Types: deb
URIs: http://mirror.example/key
Suites: stable
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS
 -----END PGP PUBLIC KEY BLOCK-----
"""


def test_a_stanza_stands_for_each_of_its_mirrors_and_suites() -> None:
    """Two URIs and two suites are four sources; what is off or has no binary packages is none."""
    found = tuple(sources_from_deb822(DEB822))
    assert [(source.uri, source.suite) for source in found] == [
        ("http://mirror.example/debian", "bookworm"),
        ("http://mirror.example/debian", "bookworm-updates"),
        ("http://other.example/debian", "bookworm"),
        ("http://other.example/debian", "bookworm-updates"),
        ("http://mirror.example/key", "stable"),
    ]
    assert found[0].components == ("main", "contrib")
    assert found[0].signed_by == "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_a_key_inside_a_stanza_survives_writing_and_reading() -> None:
    """Signed-By may hold the key itself, over many lines."""
    (source,) = (source for source in sources_from_deb822(DEB822) if source.uri.endswith("key"))
    assert source.signed_by.splitlines()[1:3] == [" -----BEGIN PGP PUBLIC KEY BLOCK-----", " ."]
    assert tuple(sources_from_deb822(deb822_from_sources((source,), "deb"))) == (source,)


def test_one_line_sources_keep_their_key_and_lose_their_trust() -> None:
    """``trusted=yes`` would switch the check of signatures off, so it is not carried over."""
    text = """\
# deb http://mirror.example/commented bookworm main
deb [ arch=amd64 trusted=yes signed-by=/a.gpg,/b.gpg ] http://mirror.example/debian/ bookworm main universe  # why
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/flat ./
deb incomplete
"""
    found = tuple(sources_from_one_line(text))
    assert found == (
        AptSource("http://mirror.example/debian", "bookworm", ("main", "universe"), "/a.gpg /b.gpg"),
        AptSource("http://mirror.example/flat", "./", ()),
    )
    assert "trusted" not in deb822_from_sources(found, "deb").lower()


def test_only_files_that_apt_would_read_are_read(tmp_path: Path) -> None:
    """Other extensions, as of a source that somebody switched off, do not count; the same source counts once."""
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://mirror.example/debian bookworm main\n")
    (parts / "again.list").write_text("deb http://mirror.example/debian bookworm main\n")
    (parts / "off.list.disabled").write_text("deb http://mirror.example/off bookworm main\n")
    (parts / "new.sources").write_text(
        "Types: deb\nURIs: http://mirror.example/new\nSuites: bookworm\nComponents: main\n"
    )
    found = read_sources(tmp_path / "sources.list", parts)
    assert [source.uri for source in found] == ["http://mirror.example/debian", "http://mirror.example/new"]


def test_a_host_without_sources_has_none(tmp_path: Path) -> None:
    """Neither file nor folder need be there."""
    assert read_sources(tmp_path / "sources.list", tmp_path / "sources.list.d") == ()
