from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lab.build.recipe import area_key, build_key, configure_argv
from tests.unit.build.fake_tree import TOOLCHAIN


def test_configure_gets_the_least_that_the_lab_needs() -> None:
    """And nothing that would make a build unlike another: no debug option, no optimisation of our own."""
    argv = configure_argv(Path("/src"), Path("/venv/bin/python"), may_download=False)
    assert argv[:2] == ("/src/configure", "--python=/venv/bin/python")
    assert {"--target-list=x86_64-softmmu", "--without-default-features", "--enable-tcg", "--enable-kvm"} <= set(argv)
    assert argv[-1] == "--disable-download"
    assert not [word for word in argv if word.startswith(("--enable-debug", "--extra-cflags", "--enable-san"))]
    assert "--disable-download" not in configure_argv(Path("/src"), Path("/p"), may_download=True)


def test_a_key_depends_on_everything_that_makes_a_build() -> None:
    """And the area on all but the tree, so that trees share objects."""
    other = replace(TOOLCHAIN, linker="ld 2.0")
    keys = {
        build_key("a", TOOLCHAIN),
        build_key("b", TOOLCHAIN),
        build_key("a", other),
        build_key("a", TOOLCHAIN, extra="subprojects"),
    }
    assert len(keys) == 4
    assert build_key("a", TOOLCHAIN) == build_key("a", TOOLCHAIN)
    assert area_key("origin", TOOLCHAIN) != area_key("origin", other) != area_key("other", other)
