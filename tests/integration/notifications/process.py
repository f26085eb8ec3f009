"""A process that sends what is due, until it is killed: `python -m … <database> <provider>`."""

import asyncio
import sys

from shared.db import Database
from tests.integration.notifications.doubles import Anybody
from tests.integration.notifications.outbound import Outbound, email_gateway, sms_gateway


async def _main(database_url: str, provider_url: str) -> None:
    outbound = Outbound(
        Database(database_url), email_gateway(provider_url), sms_gateway(provider_url)
    )
    outbound.people = Anybody()
    await outbound.process(leases_s={"in_app": 0.0, "email": 0.0, "sms": 0.0}).send_due()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
