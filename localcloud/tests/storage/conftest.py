"""An Azurite for all tests of a run, as the supervised part that it is."""

from collections.abc import Iterator

import pytest

from localcloud import parts
from localcloud.cloud import LocalCloud


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Azurite alone. A test leaves it running; containers and queues are each test's own."""
    cloud = LocalCloud(tmp_path_factory.mktemp("azurite") / "state", steps=(parts.AZURITE,))
    cloud.start()
    yield cloud
    cloud.erase()
