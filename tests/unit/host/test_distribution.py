from __future__ import annotations

from pathlib import Path

import pytest

from lab.host.distribution import Family, distribution_from_text, read_distribution


@pytest.mark.parametrize(
    ("text", "family", "enterprise"),
    [
        ("ID=debian", Family.APT, False),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'", Family.APT, False),
        ("ID=fedora", Family.DNF, False),
        ('ID="rhel"\nID_LIKE="fedora"', Family.DNF, True),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', Family.DNF, True),
        ('ID="amzn"\nID_LIKE="fedora"', Family.DNF, False),
        ("ID=arch", Family.UNKNOWN, False),
        ("", Family.UNKNOWN, False),
    ],
)
def test_a_distribution_belongs_to_a_family(text: str, family: Family, enterprise: bool) -> None:
    """ID counts first, then ID_LIKE; what is built from RHEL has its development libraries apart."""
    found = distribution_from_text(text)
    assert (found.family, found.is_enterprise) == (family, enterprise)


def test_quotes_and_comments_are_understood() -> None:
    """The file is shell-like: values may be quoted, lines may be comments, broken lines are passed over."""
    found = distribution_from_text(
        '# a comment=1\nNAME=Plain\nPRETTY_NAME="Debian GNU/Linux 12"\nID=Debian\nBAD="x\n\n?'
    )
    assert (found.name, found.id) == ("Debian GNU/Linux 12", "debian")


def test_either_place_is_read(tmp_path: Path) -> None:
    """os-release may be in /etc or /usr/lib, and a host without it is not an error."""
    assert read_distribution(tmp_path).name == "unknown distribution"
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text("ID=fedora\nNAME=Fedora\n")
    assert read_distribution(tmp_path).name == "Fedora"
