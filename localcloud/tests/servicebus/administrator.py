"""The two administration clients of the Azure SDK behind one asynchronous face."""

import asyncio
from typing import Any

from azure.servicebus.aio.management import (
    ServiceBusAdministrationClient as AsyncAdministrationClient,
)
from azure.servicebus.management import ServiceBusAdministrationClient

from localcloud.tests.servicebus.rig import BrokerProcess


class Administration:
    """Either client behind one asynchronous face."""

    def __init__(self, broker: BrokerProcess, *, synchronous: bool, key: str = "") -> None:
        factory: Any = ServiceBusAdministrationClient if synchronous else AsyncAdministrationClient
        text = broker.admin_connection_string(*([key] if key else []))
        trusted = str(broker.certificate)
        self._client = factory.from_connection_string(
            text, connection_verify=trusted, retry_total=0
        )
        self._synchronous = synchronous
        self.prefix = "sync" if synchronous else "aio"

    async def __call__(self, method: str, *arguments: Any, **options: Any) -> Any:
        call = getattr(self._client, method)
        if method.startswith("list_"):
            pages = call(*arguments, **options)
            return [*pages] if self._synchronous else [item async for item in pages]
        if self._synchronous:
            return await asyncio.to_thread(call, *arguments, **options)
        return await call(*arguments, **options)

    async def close(self) -> None:
        if self._synchronous:
            self._client.close()
        else:
            await self._client.close()
