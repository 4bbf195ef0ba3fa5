from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import HostError
from lab.host.apt_config import AptConfiguration, AptTarget, HostApt, read_host_apt
from lab.host.apt_sources import AptSource
from lab.testing import RecordingProgress
from tests.unit.host.fake_apt import FakeApt, host_answers, result

OWN = AptSource("http://mirror.example/debian", "bookworm", ("main",), "/usr/share/keyrings/k.gpg")


def test_proxies_are_taken_over_and_hooks_and_weak_checks_are_not(tmp_path: Path) -> None:
    """Of the host's settings only how to fetch counts."""
    text = "deb http://mirror.example/debian bookworm main\ndeb http://third.example/tool stable tool\n"
    host = read_host_apt(FakeApt(host_answers(tmp_path, text)))
    assert [source.uri for source in host.sources] == ["http://mirror.example/debian"]
    assert host.options == 'Acquire::http::Proxy "http://proxy:3128";\n'


def test_an_apt_that_does_not_tell_its_configuration_is_an_error_of_the_host() -> None:
    """apt-config fails."""
    with pytest.raises(HostError, match="does not tell"):
        read_host_apt(FakeApt({"apt-config": result(1, stderr="broken")}))


def test_the_private_configuration_has_nothing_of_the_host_but_its_mirrors_and_keys(tmp_path: Path) -> None:
    """Own lists and cache, no further files, and no way round the signatures."""
    configuration = AptConfiguration(tmp_path / "apt", FakeApt({}))
    configuration.write(HostApt((OWN,), 'Acquire::http::Proxy "http://proxy:3128";\n'), "deb deb-src")
    text = (tmp_path / "apt" / "apt.conf").read_text()
    assert f'Dir::State "{tmp_path}/apt/state";' in text and f'Dir::Cache "{tmp_path}/apt/cache";' in text
    assert f'Dir::State::status "{tmp_path}/apt/status";' in text
    assert 'Dir::Etc::main "/dev/null";' in text and 'Acquire::http::Proxy "http://proxy:3128";' in text
    for weakness in ("InsecureRepositories", "WeakRepositories", "DowngradeToInsecureRepositories"):
        assert f'Acquire::Allow{weakness} "false";' in text
    assert configuration.sources() == (OWN,)
    assert "Types: deb deb-src" in (tmp_path / "apt" / "sources" / "lab.sources").read_text()


def test_every_command_gets_the_private_configuration(tmp_path: Path) -> None:
    """Through APT_CONFIG, which apt reads before anything else."""
    run = FakeApt({"apt-cache policy": "x"})
    AptConfiguration(tmp_path, run).run("apt-cache", "policy", "fio")
    assert run.configurations == [tmp_path / "apt.conf"]


def test_a_failing_command_becomes_an_error_of_the_host(tmp_path: Path) -> None:
    """With what apt said."""
    configuration = AptConfiguration(
        tmp_path, FakeApt({"apt-get": result(100, stderr="E: Unable to locate package x")})
    )
    with pytest.raises(HostError, match="Unable to locate package x"):
        configuration.run("apt-get", "download", "x")


def test_an_update_without_network_keeps_the_old_lists_and_says_so(tmp_path: Path) -> None:
    """apt then exits with 0 and warns."""
    warning = "W: Failed to fetch http://mirror.example/...  Temporary failure resolving 'mirror.example'"
    configuration = AptConfiguration(tmp_path, FakeApt({"apt-get update": result(stderr=warning)}))
    assert configuration.update(RecordingProgress()) is False
    fresh = AptConfiguration(tmp_path, FakeApt({"apt-get update": "Hit:1 http://mirror.example bookworm InRelease"}))
    assert fresh.update(RecordingProgress()) is True


def test_a_missing_signature_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    """apt exits with 100; nothing goes on without the key."""
    said = "E: The repository 'http://mirror.example/debian trixie InRelease' is not signed."
    configuration = AptConfiguration(tmp_path, FakeApt({"apt-get update": result(100, stderr=said)}))
    with pytest.raises(HostError, match="is not signed") as caught:
        configuration.update(RecordingProgress())
    assert "keyring" in caught.value.remedy
    assert configuration.update(RecordingProgress(), check=False) is False


def test_targets_are_what_the_signed_release_files_say(tmp_path: Path) -> None:
    """A line that apt could not fill in is passed over; a label may have spaces."""
    text = (
        "http://mirror.example/debian/ bookworm Debian Debian\n"
        "http://mirror.example/security/ bookworm-security Debian Debian-Security\n"
        "http://third.example/ stable Third Party Tools\nhttp://unfetched.example/ stable\n"
    )
    targets = AptConfiguration(tmp_path, FakeApt({"apt-get indextargets": text})).targets()
    assert targets == (
        AptTarget("http://mirror.example/debian", "bookworm", "Debian", "Debian"),
        AptTarget("http://mirror.example/security", "bookworm-security", "Debian", "Debian-Security"),
        AptTarget("http://third.example", "stable", "Third", "Party Tools"),
    )
