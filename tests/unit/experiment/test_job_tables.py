"""The tables of a job file, and the page that explains them."""

import re

import pytest

from lab.errors import InputError
from lab.experiment.job_host import HostTable
from lab.experiment.job_tables import (
    BACKEND_FACTORS,
    BACKEND_NAMES,
    MACHINE_FACTORS,
    BackendTable,
    ControllerTable,
    DemonstrationTable,
    Job,
    JudgeTable,
    MachineTable,
    ProfileTable,
    ReferenceTable,
    Table,
    hidden_keys,
)
from lab.workload.fio_job import check_option_name
from tests.unit.project import PROJECT

TABLES = (
    Job,
    MachineTable,
    ControllerTable,
    BackendTable,
    JudgeTable,
    ReferenceTable,
    DemonstrationTable,
    ProfileTable,
)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_docs_jobs_names_every_key(table: type[Table]) -> None:
    """The remedy of each mistake is 'docs/jobs.md names every key'."""
    words = set(re.findall(r"[a-z_]+", (PROJECT / "docs" / "jobs.md").read_text()))
    assert set(table.model_fields) - words == set()


def test_the_host_s_keys_are_explained_too() -> None:
    """On the page about the host, or here."""
    text = "".join((PROJECT / "docs" / page).read_text() for page in ("jobs.md", "host.md"))
    assert set(HostTable.model_fields) - set(re.findall(r"[a-z_]+", text)) == set()


def test_no_key_is_an_option_of_fio() -> None:
    """A factor has one meaning: a key of the machine may not hide an option of fio that can be varied."""
    for name in sorted(MACHINE_FACTORS | BACKEND_FACTORS | BACKEND_NAMES):
        with pytest.raises(InputError):
            check_option_name(name)


def test_keys_of_machine_and_backend_are_told_apart() -> None:
    """A factor belongs to one of the two."""
    assert set() == MACHINE_FACTORS & BACKEND_FACTORS


def test_what_every_controller_says_hides_the_machine_s_word() -> None:
    """And disks that all say a key hide that of [machine.backend]; one that does not leaves it open."""
    said = {"num_queues": 1, "disk": [{"latency_ns": 1}]}
    machine = MachineTable.model_validate({"controller": [said, said]})
    assert hidden_keys(machine) == {"num_queues", "latency_ns", "disks", "controllers"}
    open_ended = MachineTable.model_validate({"controller": [said, {}]})
    assert hidden_keys(open_ended) == {"disks", "controllers"}
    assert hidden_keys(MachineTable()) == frozenset()
