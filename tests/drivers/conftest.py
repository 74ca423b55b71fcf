"""Certificates, credentials and captured trees for the driver's tests."""

import tarfile
from pathlib import Path

import pytest
from bmc_stand_in import Certificate, FieldClock, MemoryLedger, credential, make_certificate

from fleet.drivers.redfish import RedfishDriver
from inventory.model import Credential

TREES = Path(__file__).parents[3] / "shared" / "redfish-trees"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def login(tmp_path: Path) -> Credential:
    return credential(tmp_path)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def clock() -> FieldClock:
    return FieldClock()


@pytest.fixture
def driver(login: Credential, clock: FieldClock) -> RedfishDriver:
    return RedfishDriver([login], clock=clock)


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The captured trees, unpacked."""
    if not TREES.is_dir():
        pytest.skip(f"{TREES} with the captured trees is not there")
    directory = tmp_path_factory.mktemp("trees")
    for archive in sorted(TREES.glob("*.tar.xz")):
        with tarfile.open(archive) as tar:
            tar.extractall(directory / archive.name.removesuffix(".tar.xz"), filter=_needed)  # noqa: S202 (_needed applies the data filter)
    return directory


def _needed(member: tarfile.TarInfo, directory: str) -> tarfile.TarInfo | None:
    """Leave out registries and schemas: half of the files, and no test reads them."""
    if any(part in member.name for part in ("/Registries", "/JsonSchemas", "/schemas/", "/LogServices")):
        return None
    return tarfile.data_filter(member, directory)
