"""A local cloud of its own for the crash tests: its books must hold nothing but their orders."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from localcloud.cloud import LocalCloud
from tests.chaos.settings import PATIENT
from tests.rig.platform import Platform, opened


@pytest.fixture(scope="session")
async def platform() -> AsyncIterator[Platform]:
    """A running platform on which every order is one of the crash tests'."""
    # Not pytest's own temporary folder: the database's user may not enter that one.
    cloud = LocalCloud(Path(tempfile.mkdtemp(prefix="platform-")), port_base=0, settings=PATIENT)
    await asyncio.to_thread(cloud.start)
    try:
        async with opened(cloud) as platform:
            yield platform
    finally:
        await asyncio.to_thread(cloud.erase)
