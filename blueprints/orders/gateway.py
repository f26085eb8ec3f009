"""The shipping provider's REST API."""

from typing import Any

from blueprints.orders.delivery_models import CarrierRate
from blueprints.orders.fulfilment_models import Booking, Parcel
from blueprints.orders.models import AddressNotServed, ShipmentUnstoppable, ShippingFault
from blueprints.orders.pricing import TARIFF_NET
from shared.partner import Answer, NoAnswer, Partner
from shared.resilience import Breaker
from shared.secrets import NamedSecret, SecretUnavailable

CREATED, UNAUTHORISED, NOT_FOUND, CONFLICT = 201, 401, 404, 409


class ShippingGateway:
    """Calls to the provider at `base_url`; one connection pool per process, opened when first used.

    Every call either returns, or raises what its docstring names, or raises ShippingFault: then
    it may or may not have taken effect, and the same call under the same key tells. While the
    circuit is open ShippingFault comes at once, without a call. When the provider refuses the API
    key and there is a newer one, the call is made once more with that.
    """

    def __init__(
        self, base_url: str, api_key: NamedSecret, *, timeout_s: float, breaker: Breaker
    ) -> None:
        self._partner, self._api_key = Partner(base_url, timeout_s=timeout_s), api_key
        self._breaker = breaker

    async def book(self, parcel: Parcel, *, key: str) -> Booking:
        """The booking of the parcel. Raises AddressNotServed."""
        with self._breaker.calling():
            return await self._booked(parcel, key)

    async def _booked(self, parcel: Parcel, key: str) -> Booking:
        address = parcel.address.model_dump(exclude_none=True)
        path = "/v1/shipments"
        answer = await self._post(
            path,
            key,
            {
                "reference": str(parcel.order_id),
                "service": parcel.service,
                "address": address,
                "weight_g": parcel.weight_g,
            },
        )
        if answer.status == CREATED:
            facts = _json(answer, path)
            return Booking(str(facts["id"]), str(facts["tracking_number"]))
        if _code(answer, path) == "address_not_served":
            raise AddressNotServed("the shipping provider does not deliver to this address")
        raise _fault(answer, path)

    async def cancel(self, provider_id: str, *, key: str) -> None:
        """Return once the shipment is cancelled. Raises ShipmentUnstoppable when it has left."""
        path = f"/v1/shipments/{provider_id}/cancel"
        with self._breaker.calling():
            answer = await self._post(path, key, {})
            if answer.is_success:
                return
            if answer.status == CONFLICT:
                raise ShipmentUnstoppable
            raise _fault(answer, path)

    async def rates(self, country: str, postal_code: str, weight_g: int) -> list[CarrierRate]:
        """What the provider asks for such a parcel. Raises AddressNotServed."""
        path = "/v1/rates"
        wanted = {"country": country, "postal_code": postal_code, "weight_g": weight_g}
        with self._breaker.calling():
            answer = await self._sent("POST", path, body=wanted)
            if answer.is_success:
                return _rates(answer, path)
            if _code(answer, path) == "address_not_served":
                raise AddressNotServed("the shipping provider does not deliver to this address")
            raise _fault(answer, path)

    async def status(self, provider_id: str) -> str | None:
        """The provider's word for where the shipment is; None if it knows no such shipment."""
        path = f"/v1/shipments/{provider_id}"
        with self._breaker.calling():
            answer = await self._sent("GET", path)
            if answer.status == NOT_FOUND:
                return None
            if answer.is_success and isinstance(status := _json(answer, path).get("status"), str):
                return status
            raise _fault(answer, path, "GET")

    async def close(self) -> None:
        """Close every connection; the next call opens new ones."""
        await self._partner.close()

    async def _post(self, path: str, key: str, body: dict[str, Any]) -> Answer:
        return await self._sent("POST", path, key=key, body=body)

    async def _sent(
        self, method: str, path: str, *, key: str | None = None, body: dict[str, Any] | None = None
    ) -> Answer:
        headers = {"Idempotency-Key": key} if key is not None else {}
        try:
            api_key = await self._api_key.value()
            headers["X-Api-Key"] = api_key.reveal()
            answer = await self._partner.send(method, path, headers=headers, body=body)
            if answer.status != UNAUTHORISED:
                return answer
            newer = await self._api_key.value(other_than=api_key)
            if newer == api_key:
                return answer
            headers["X-Api-Key"] = newer.reveal()
            return await self._partner.send(method, path, headers=headers, body=body)
        except (NoAnswer, SecretUnavailable) as fault:
            raise ShippingFault(f"{fault} on {method} {path}") from fault


def _json(answer: Answer, path: str) -> dict[str, Any]:
    try:
        return answer.json()
    except ValueError as fault:
        raise _fault(answer, path) from fault


def _code(answer: Answer, path: str) -> str | None:
    if not answer.is_client_error:
        return None
    error = _json(answer, path).get("error")
    return str(error.get("code")) if isinstance(error, dict) else None


def _rates(answer: Answer, path: str) -> list[CarrierRate]:
    """The rates of the services that we offer."""
    try:
        return [
            CarrierRate(rate["service"], int(rate["amount"]), str(rate["currency"]), rate["days"])
            for rate in _json(answer, path)["rates"]
            if rate["service"] in TARIFF_NET
        ]
    except (KeyError, TypeError, ValueError) as fault:
        raise ShippingFault(f"rates that are not described in full on POST {path}") from fault


def _fault(answer: Answer, path: str, method: str = "POST") -> ShippingFault:
    """The provider's words stay out of it: they may repeat the address."""
    return ShippingFault(f"status {answer.status} on {method} {path}")
