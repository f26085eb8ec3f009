"""Stages for policies, sharing one token issuer."""

from pathlib import Path

import pytest

from localcloud.tests.gateway.policy.doubles import Services, Signer
from localcloud.tests.gateway.policy.stage import Folder, Stage, Staged


@pytest.fixture(scope="session")
def signer() -> Signer:
    """A provider whose key nobody rotates."""
    return Signer()


@pytest.fixture
def services(signer: Signer) -> Services:
    return Services(signer)


@pytest.fixture
def staged(tmp_path: Path, services: Services) -> Staged:
    """A stage with the given files; named values are taken from the folder."""

    def stage(**files: object) -> Stage:
        return Stage(Folder(tmp_path, **files).load(), services)  # type: ignore[arg-type]

    return stage
