"""One local cloud for the whole test session, and everything a test needs to use and disturb it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from localcloud.cloud import LocalCloud
from tests.rig.platform import Platform, opened

HURRIED = {
    "PARTNER_TIMEOUT_S": "1.5",
    "PARTNER_BREAKER_OPEN_S": "0.3",
    "CONFIRMATION_WINDOW_S": "5",
    "SAGA_WAITS_S": "0.2,0.5,1",
    "PAYMENT_RECONCILE_AFTER_S": "2",
    "OUTBOX_RELAY_SCHEDULE": "* * * * * *",
    "PAYMENT_RECONCILE_SCHEDULE": "*/2 * * * * *",
    "NOTIFICATION_SENDING_SCHEDULE": "* * * * * *",
    # A test run is one busy client.
    "USER_LIMIT_CLIENT": "0",
    "USER_LIMIT_EMPLOYEE": "0",
}
"""Settings of the deployed application that make tests quick; everything else is as it ships."""


@pytest.fixture(scope="session")
async def running_platform() -> AsyncIterator[Platform]:
    # Not pytest's own temporary folder: the database's user may not enter that one.
    state = Path(tempfile.mkdtemp(prefix="platform-"))
    cloud = LocalCloud(state, port_base=0, settings=HURRIED)
    await asyncio.to_thread(cloud.start)
    try:
        async with opened(cloud) as platform:
            yield platform
    finally:
        await asyncio.to_thread(cloud.erase)


@pytest.fixture
async def platform(running_platform: Platform) -> AsyncIterator[Platform]:
    """The running platform, its partners well behaved at the start and the end of the test."""
    await running_platform.reset_partners()
    yield running_platform
    await running_platform.reset_partners()
