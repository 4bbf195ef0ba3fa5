from dataclasses import replace

from lab.record import Arm
from lab.report.provenance import (
    build_facts,
    host_facts,
    host_line,
    patch_subjects,
    series_title,
    source_line,
)
from tests.unit.analysis.campaign import BUILDS, Campaign
from tests.unit.report.examples import results

RESULTS = results(Campaign(blocks=1))
BARE = replace(RESULTS, host={}, builds={})


def test_what_is_known_is_said() -> None:
    """Host, builds and series in words."""
    assert host_line(RESULTS).startswith("Imaginary CPU 9000, 2 CPUs, Debian") and host_line(RESULTS).endswith(
        "tier tcg"
    )
    assert dict(host_facts(RESULTS))["kernel"] == "6.1.0-99-amd64" and "governors" not in dict(host_facts(RESULTS))
    assert dict(build_facts(RESULTS, Arm.BASELINE))["configure options"].startswith("--target-list")
    assert "baseline 0123456789ab" in source_line(RESULTS) and "series 'demo" in source_line(RESULTS)
    assert patch_subjects(RESULTS) == ("virtio-scsi: waste time",)


def test_what_is_not_known_is_left_out() -> None:
    """A CSV file has no host and no builds."""
    assert host_line(BARE) == "tier tcg" and source_line(BARE).startswith("experiment experiment")
    assert host_facts(BARE) == () and build_facts(BARE, Arm.CANDIDATE) == ()
    assert (series_title(BARE), patch_subjects(BARE)) == ("my series.mbox", ())


def test_odd_json_does_no_harm() -> None:
    """Values of another type than expected are left out or shown as text, never an error."""
    odd = replace(RESULTS, host={"usable_cpus": "two", "smt_active": True}, builds={"series": [], "baseline": 3})
    assert host_line(odd) == "tier tcg" and dict(host_facts(odd))["SMT"] == "yes"
    assert patch_subjects(odd) == () and build_facts(odd, Arm.BASELINE) == ()
    assert patch_subjects(replace(RESULTS, builds=BUILDS | {"series": {"patches": ["x"]}})) == ()


def test_whole_numbers_have_no_fraction() -> None:
    """2 CPUs are not 2.0, and one and a half stay so; a number beyond any host is left out of the line."""
    assert dict(host_facts(replace(RESULTS, host={"usable_cpus": 2.0})))["usable CPUs"] == "2"
    assert dict(host_facts(replace(RESULTS, host={"usable_cpus": 1.5})))["usable CPUs"] == "1.5"
    assert host_line(replace(RESULTS, host={"usable_cpus": 10**400})) == "tier tcg"
