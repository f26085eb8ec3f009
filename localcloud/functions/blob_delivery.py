"""Hands a blob to a function."""

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

from localcloud.functions.blob_paths import location_of
from localcloud.functions.catalogue import Function
from localcloud.functions.errors import StartRefused
from localcloud.functions.execution import Executor, Outcome
from localcloud.functions.expressions import Pattern
from localcloud.functions.inputs import Inputs
from localcloud.functions.logs import host_log
from localcloud.functions.protos import TypedData
from localcloud.functions.tracing import trace_context

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties
    from azure.storage.blob.aio import BlobServiceClient


class BlobDelivery:
    """The way from a container into one function."""

    def __init__(
        self, function: Function, service: "BlobServiceClient", executor: Executor, inputs: Inputs
    ) -> None:
        """StartRefused when the function's path cannot be read."""
        self.function, self.service = function, service
        self._executor, self._inputs = executor, inputs
        try:
            self.pattern = Pattern(str(function.fields.get("path", "")))
        except ValueError as error:
            raise StartRefused(f"function {function.name!r}: {error}") from error

    async def one(self, container: str, name: str, etag: str | None) -> Outcome:
        """Run the function on the blob, if it is there and still has that ETag.

        What is gone or changed needs no run: the scan finds the new version.
        """
        try:
            stream = await self.service.get_blob_client(container, name).download_blob()
            if etag is not None and stream.properties.etag.strip('"') != etag:
                return Outcome(ok=True)
            content = await stream.readall()
        except (ResourceNotFoundError, ResourceModifiedError):
            host_log.info("the blob %s/%s is gone or has changed", container, name)
            return Outcome(ok=True)
        return await self._executor.execute(
            self.function,
            self._inputs.of(self.function, self._value(content)),
            trace=trace_context(None),
            metadata=self._metadata(container, name, stream.properties),
            reason=f"New blob detected: {container}/{name}",
        )

    async def by_hand(self, path: str) -> Outcome:
        """Run the function on the blob at `path`, a `container/name`."""
        try:
            container, name = location_of(path)
        except ValueError as error:
            host_log.error("'Functions.%s' cannot run: %s", self.function.name, error)
            return Outcome(ok=False, error=str(error))
        return await self.one(container, name, None)

    def _value(self, content: bytes) -> TypedData:
        """Bytes, of which the worker makes a stream, unless the app asks for text."""
        if str(self.function.fields.get("dataType") or "").upper() == "STRING":
            return TypedData(string=content.decode(errors="replace"))
        return TypedData(bytes=content)

    def _metadata(
        self, container: str, name: str, properties: "BlobProperties"
    ) -> dict[str, TypedData]:
        captured = self.pattern.match(name) or {}
        url = self.service.get_blob_client(container, name).url
        return {
            **{part: TypedData(string=text) for part, text in captured.items()},
            "BlobTrigger": TypedData(string=f"{container}/{name}"),
            "Uri": TypedData(string=url),
            "Properties": TypedData(json=json.dumps(_described(properties))),
            "Metadata": TypedData(json=json.dumps(properties.metadata or {})),
        }


def _described(properties: "BlobProperties") -> dict[str, Any]:
    """The blob's system properties, under the names of .NET's `BlobProperties`."""
    content = properties.content_settings
    md5 = content.content_md5
    return {
        "ETag": properties.etag,
        "LastModified": _time(properties.last_modified),
        "CreatedOn": _time(properties.creation_time),
        "BlobType": str(properties.blob_type.value if properties.blob_type else "BlockBlob"),
        "ContentLength": properties.size,
        "ContentType": content.content_type,
        "ContentEncoding": content.content_encoding,
        "ContentLanguage": content.content_language,
        "ContentDisposition": content.content_disposition,
        "CacheControl": content.cache_control,
        "ContentHash": base64.b64encode(md5).decode() if md5 else None,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
