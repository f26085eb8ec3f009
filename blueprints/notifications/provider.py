"""The way to Azure Communication Services: access, time limits, what is a fault and what is not."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import SecretStr

from blueprints.notifications.delivery_models import LeftAlone, ProviderFault, Throttled
from shared import trust
from shared.resilience import Breaker

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError

CONNECT_TIMEOUT_S = 2.0
CLOSE_TIMEOUT_S = 2.0
LONGEST_WAIT_S = 24 * 3600
"""Nobody is believed who asks to be left alone for longer."""

REFUSALS = frozenset({400, 409, 412, 413, 422})
"""Whatever else it answers says nothing of the message: 401, 403 and 404 are about our settings."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")


class CommunicationSettings(Protocol):
    """The settings that name the resource; shared.config.Settings has them."""

    @property
    def communication_connection(self) -> SecretStr | None:
        """A connection string: `endpoint=…;accesskey=…`."""
        ...

    @property
    def communication_endpoint(self) -> str | None:
        """The resource's URL, to be used with a managed identity."""
        ...

    @property
    def trusted_ca_file(self) -> str | None:
        """Authorities to trust beside the public ones."""
        ...


class Answered(Exception):
    """The provider said no, by `status` and `code`.

    The SDK's exception, which quotes the address, ends here: nothing raised further up does.
    """

    def __init__(self, status: int, code: str, retry_after_s: int | None) -> None:
        super().__init__(f"status {status}")
        self.status, self.code, self.retry_after_s = status, code, retry_after_s


class Provider:
    """What email and SMS have in common: the way to the resource and what is a fault of it."""

    def __init__(
        self, settings: CommunicationSettings, *, timeout_s: float, breaker: Breaker
    ) -> None:
        self._settings, self._timeout_s, self._breaker = settings, timeout_s, breaker
        self._loop: asyncio.AbstractEventLoop | None = None
        self.client: Any = None
        self._credential: Any = None

    async def close(self) -> None:
        """Close every connection; the next call opens new ones."""
        client, self.client = self.client, None
        credential, self._credential = self._credential, None
        for open_thing in (client, credential):
            if open_thing is not None:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(CLOSE_TIMEOUT_S):
                        await open_thing.close()

    def is_open(self) -> bool:
        """Whether there is a client of the running loop."""
        return self.client is not None and self._loop is asyncio.get_running_loop()

    def access(self) -> tuple[str, Any]:
        """Endpoint and credential, by Azure's convention.

        Not the SDK's `from_connection_string`: that takes the scheme off the endpoint.
        """
        # Heavy imports: a process that never sends does not pay for them.
        from azure.core.credentials import AzureKeyCredential  # noqa: PLC0415

        self._loop = asyncio.get_running_loop()
        connection = self._settings.communication_connection
        if connection is not None:
            given = dict(
                part.partition("=")[::2] for part in connection.get_secret_value().split(";")
            )
            parts = {name.strip().casefold(): value for name, value in given.items()}
            return parts["endpoint"].rstrip("/"), AzureKeyCredential(parts["accesskey"])
        endpoint = self._settings.communication_endpoint
        if endpoint is None:
            raise RuntimeError("set CommunicationConnection or CommunicationConnection__endpoint")
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

        self._credential = DefaultAzureCredential()
        return endpoint.rstrip("/"), self._credential

    def patience(self) -> dict[str, Any]:
        """No second try by the SDK: a delivery waits for its turn in the database, not here.

        And no redirects: a name and an address go where the settings say, and nowhere else.
        """
        return {
            "retry_total": 0,
            "permit_redirects": False,
            **trust.transport(
                self._settings.trusted_ca_file,
                connection_timeout=CONNECT_TIMEOUT_S,
                read_timeout=self._timeout_s,
            ),
        }

    @contextlib.asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """The block is one call.

        Raises Answered for a refusal, Throttled, LeftAlone without having called, and
        ProviderFault for everything else.
        """
        tried = False
        try:
            with self._breaker.calling():
                tried = True
                async with self._translating():
                    yield
        except Answered as answer:
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                wait_s = 1 if answer.retry_after_s is None else answer.retry_after_s
                raise Throttled("status 429", retry_after_s=wait_s) from None
            raise
        except ProviderFault as fault:
            if not tried:
                raise LeftAlone(fault.detail, retry_after_s=fault.retry_after_s) from None
            raise

    @contextlib.asynccontextmanager
    async def _translating(self) -> AsyncIterator[None]:
        from azure.core.exceptions import AzureError, HttpResponseError  # noqa: PLC0415

        try:
            async with asyncio.timeout(self._timeout_s + CONNECT_TIMEOUT_S):
                yield
        except HttpResponseError as fault:
            status = fault.status_code or 0
            wait_s = _retry_after_s(fault)
            if status in REFUSALS or status == HTTPStatus.TOO_MANY_REQUESTS:
                raise Answered(status, _code(fault), wait_s) from None
            raise ProviderFault(f"status {status}", retry_after_s=wait_s or 0) from None
        # The last three: the SDK stumbles over an answer of another shape than it expects.
        except (AzureError, TimeoutError, OSError, ValueError, TypeError, AttributeError) as fault:
            raise ProviderFault(f"no answer: {type(fault).__name__}", retry_after_s=0) from None


def _code(fault: "HttpResponseError") -> str:
    """The provider's word for the error; its message quotes the address and is left out."""
    code = getattr(getattr(fault, "error", None), "code", None)
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _retry_after_s(fault: "HttpResponseError") -> int | None:
    """RFC 9110 §10.2.3: seconds or a date; None without a sensible one."""
    headers: Mapping[str, str] = getattr(fault.response, "headers", {})
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return min(int(value), LONGEST_WAIT_S)
    try:
        left = (parsedate_to_datetime(value).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return None
    return max(0, min(round(left), LONGEST_WAIT_S))
