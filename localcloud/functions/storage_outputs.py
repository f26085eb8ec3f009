"""Queue and blob outputs, and blob inputs."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from localcloud.functions.accounts import Accounts
from localcloud.functions.blob_paths import location_of
from localcloud.functions.catalogue import Binding, Function
from localcloud.functions.errors import StartRefused
from localcloud.functions.expressions import Facts, Template
from localcloud.functions.outputs import messages_of
from localcloud.functions.polling import put
from localcloud.functions.protos import ParameterBinding, TypedData
from localcloud.functions.queue_messages import content_of, value_of

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobClient

_WIDTH = 8


class QueueOutput:
    """Sends to storage queues, and makes those that are missing. See `outputs.Destination`."""

    def __init__(self, accounts: Accounts, *, is_base64: bool, sent: Callable[[str], None]) -> None:
        """`sent` hears the name of each queue that got something."""
        self._accounts, self._is_base64, self._sent = accounts, is_base64, sent

    def check(self, output: Binding, function: Function) -> None:
        """StartRefused when it names no queue, or its connection is not set."""
        _template(output, function, "queueName")
        self._accounts.queues(output.connection, function=function.name)

    async def send(
        self, output: Binding, function: Function, value: TypedData, facts: Facts
    ) -> None:
        """Send one message, or one for each element of a JSON array."""
        name = _template(output, function, "queueName").filled(facts).lower()
        service = self._accounts.queues(output.connection, function=function.name)
        queue = service.get_queue_client(name)
        for body in messages_of(value):
            await put(queue, content_of(body, is_base64=self._is_base64))
        self._sent(name)

    async def close(self) -> None:
        """Nothing to do here: the accounts are the host's."""


class BlobOutput:
    """Writes blobs, and makes containers that are missing. See `outputs.Destination`."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def check(self, output: Binding, function: Function) -> None:
        """StartRefused when it has no path, or its connection is not set."""
        _template(output, function, "path")
        self._accounts.blobs(output.connection, function=function.name)

    async def send(
        self, output: Binding, function: Function, value: TypedData, facts: Facts
    ) -> None:
        """Write the blob, over one that is there."""
        blob = _blob(self._accounts, output, function, facts)
        content = value.value if isinstance(value.value, bytes) else str(value.value).encode()
        try:
            await blob.upload_blob(content, overwrite=True)
        except ResourceNotFoundError:
            service = self._accounts.blobs(output.connection, function=function.name)
            with contextlib.suppress(ResourceExistsError):  # another one was quicker
                await service.create_container(blob.container_name)
            await blob.upload_blob(content, overwrite=True)

    async def close(self) -> None:
        """Nothing to do here: the accounts are the host's."""


class BlobInputs:
    """Reads the blobs that input bindings name."""

    def __init__(self, functions: Sequence[Function], accounts: Accounts) -> None:
        """StartRefused for a binding without a path or a connection."""
        self._accounts = accounts
        for function in functions:
            for item in function.inputs if not function.disabled else ():
                _template(item, function, "path")
                accounts.blobs(item.connection, function=function.name)

    async def read(self, function: Function, facts: Facts) -> list[ParameterBinding]:
        """The content of each; nothing for a blob that is not there, as Azure has it.

        Raises what the SDK raises, or ValueError for an expression without a value.
        """
        return list(
            await asyncio.gather(*(self._one(item, function, facts) for item in function.inputs))
        )

    async def _one(self, item: Binding, function: Function, facts: Facts) -> ParameterBinding:
        blob = _blob(self._accounts, item, function, facts)
        try:
            stream = await blob.download_blob(max_concurrency=_WIDTH)
        except ResourceNotFoundError:
            return ParameterBinding(item.name, TypedData())
        data_type = str(item.fields.get("dataType") or "")
        return ParameterBinding(item.name, value_of(await stream.readall(), data_type))


def _template(item: Binding, function: Function, field: str) -> Template:
    text = str(item.fields.get(field) or "")
    if not text:
        raise StartRefused(f"function {function.name!r}: the binding {item.name!r} has no {field}")
    try:
        return Template(text)
    except ValueError as error:
        raise StartRefused(f"function {function.name!r}, binding {item.name!r}: {error}") from error


def _blob(accounts: Accounts, item: Binding, function: Function, facts: Facts) -> "BlobClient":
    container, name = location_of(_template(item, function, "path").filled(facts))
    service = accounts.blobs(item.connection, function=function.name)
    return service.get_blob_client(container, name)
