"""The shipping provider's REST API."""

import asyncio
from typing import Any

import httpx
from pydantic import SecretStr

from blueprints.orders.models import (
    AddressNotServed,
    Booking,
    Parcel,
    ShipmentUnstoppable,
    ShippingFault,
)

CONNECT_TIMEOUT_S = 2.0


class ShippingGateway:
    """Calls to the provider at `base_url`; one connection pool per process, opened when first used.

    Every call either returns, or raises what its docstring names, or raises ShippingFault: then
    it may or may not have taken effect, and the same call under the same key tells.
    """

    def __init__(self, base_url: str, api_key: SecretStr, *, timeout_s: float) -> None:
        self._base_url, self._api_key, self._timeout_s = base_url, api_key, timeout_s
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def book(self, parcel: Parcel, *, key: str) -> Booking:
        """The booking of the parcel. Raises AddressNotServed."""
        address = parcel.address.model_dump(exclude_none=True)
        answer = await self._post(
            "/v1/shipments",
            key,
            {
                "reference": str(parcel.order_id),
                "service": parcel.service,
                "address": address,
                "weight_g": parcel.weight_g,
            },
        )
        if answer.status_code == httpx.codes.CREATED:
            facts = _json(answer)
            return Booking(str(facts["id"]), str(facts["tracking_number"]))
        if _code(answer) == "address_not_served":
            raise AddressNotServed
        raise _fault(answer)

    async def cancel(self, provider_id: str, *, key: str) -> None:
        """Return once the shipment is cancelled. Raises ShipmentUnstoppable when it has left."""
        answer = await self._post(f"/v1/shipments/{provider_id}/cancel", key, {})
        if answer.is_success:
            return
        if answer.status_code == httpx.codes.CONFLICT:
            raise ShipmentUnstoppable
        raise _fault(answer)

    async def close(self) -> None:
        """Close every connection; the next call opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _post(self, path: str, key: str, body: dict[str, Any]) -> httpx.Response:
        headers = {"X-Api-Key": self._api_key.get_secret_value(), "Idempotency-Key": key}
        try:
            return await self._opened().post(path, json=body, headers=headers)
        except httpx.HTTPError as fault:
            raise ShippingFault(f"{type(fault).__name__} on POST {path}") from fault

    def _opened(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            timeout = httpx.Timeout(self._timeout_s, connect=CONNECT_TIMEOUT_S)
            self._client = httpx.AsyncClient(base_url=self._base_url, timeout=timeout)
            self._loop = loop
        return self._client


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError as fault:
        raise _fault(answer) from fault
    if not isinstance(body, dict):
        raise _fault(answer)
    return body


def _code(answer: httpx.Response) -> str | None:
    if not answer.is_client_error:
        return None
    error = _json(answer).get("error")
    return str(error.get("code")) if isinstance(error, dict) else None


def _fault(answer: httpx.Response) -> ShippingFault:
    """The provider's words stay out of it: they may repeat the address."""
    return ShippingFault(f"status {answer.status_code} on POST {answer.request.url.path}")
