"""One token issuer for all gates."""

import pytest

from localcloud.tests.gateway.policy.doubles import Signer
from tests.unit.apim.gate import Gate


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer()


@pytest.fixture(scope="session")
def loaded(signer: Signer) -> Gate:
    """The policies as they are, loaded once."""
    return Gate(signer)


@pytest.fixture
def gate(loaded: Gate) -> Gate:
    """The policies as they are, with services that remember nothing yet."""
    return loaded.fresh()
