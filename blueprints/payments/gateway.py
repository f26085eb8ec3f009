"""The payment gateway's REST API, with the access token it asks for."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from blueprints.payments.models import GatewayFault, GatewayPayment, GatewayRefusal
from shared.partner import Answer, NoAnswer, Partner
from shared.resilience import Breaker
from shared.secrets import NamedSecret, Secret, SecretUnavailable

TOKEN_TIMEOUT_S = 5.0
TOKEN_SKEW_S = 60.0
"""A token is not used in the last minute of its life: the gateway's clock is not ours."""

UNAUTHORISED = 401
TRY_LATER = frozenset({408, 425, 429})
"""Client errors that say nothing about the request (RFC 9110 §15.5.9, RFC 8470, RFC 6585)."""


class TokenSource:
    """Access tokens of the client-credentials grant (RFC 6749 §4.4), one at a time.

    When the directory refuses the client secret and there is a newer one, it is asked once more.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str,
        client_secret: NamedSecret,
        scope: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = Partner(url, timeout_s=TOKEN_TIMEOUT_S)
        self._scope, self._clock = scope, clock
        self._client_id, self._client_secret = client_id, client_secret
        self._token, self._good_until = "", 0.0
        self._turn = asyncio.Lock()

    async def token(self, *, other_than: str = "") -> str:
        """A token that is good for a while; a fresh one if the last is `other_than`.

        Raises GatewayFault when the directory gives none.
        """
        async with self._turn:
            if self._token in {"", other_than} or self._clock() >= self._good_until:
                await self._renew()
            return self._token

    async def close(self) -> None:
        """Let go of the directory."""
        await self._directory.close()

    async def _renew(self) -> None:
        asked_at = self._clock()
        try:
            answer = await self._asked()
        except (NoAnswer, SecretUnavailable) as fault:
            raise GatewayFault(f"{fault} on the token endpoint") from fault
        body = _json(answer)
        if not answer.is_success or not isinstance(body.get("access_token"), str):
            raise GatewayFault(f"status {answer.status} on the token endpoint")
        self._token = body["access_token"]
        self._good_until = asked_at + float(body.get("expires_in", 0)) - TOKEN_SKEW_S

    async def _asked(self) -> Answer:
        secret = await self._client_secret.value()
        answer = await self._asked_with(secret)
        if answer.status != UNAUTHORISED:
            return answer
        newer = await self._client_secret.value(other_than=secret)
        return answer if newer == secret else await self._asked_with(newer)

    async def _asked_with(self, secret: Secret) -> Answer:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": secret.reveal(),
            "scope": self._scope,
        }
        return await self._directory.send("POST", "", form=form)


class PaymentGateway:
    """Calls to the gateway at `base_url`; one connection pool per process, opened when first used.

    Every call that moves money takes an idempotency key and may be repeated under it. It returns
    the gateway's answer, or raises GatewayRefusal (nothing changed) or GatewayFault (nobody
    knows; also at once, without a call, while the circuit is open).
    """

    def __init__(
        self, base_url: str, tokens: TokenSource, *, timeout_s: float, breaker: Breaker
    ) -> None:
        self._partner, self._tokens = Partner(base_url, timeout_s=timeout_s), tokens
        self._breaker = breaker

    async def authorise(
        self, *, reference: str, amount: int, currency: str, payment_method: str, key: str
    ) -> GatewayPayment:
        """The payment held for `reference`. A decline is an answer, not a refusal.

        A repeat gets the first answer, which may be older than what has happened since.
        """
        body = {
            "reference": reference,
            "amount": amount,
            "currency": currency,
            "payment_method": payment_method,
        }
        return _payment(await self._call("POST", "/v1/payments", key, body))

    async def confirm(self, payment_id: str, *, code: str, key: str) -> GatewayPayment:
        """The payment, authorized or declined by the customer's code."""
        path = f"/v1/payments/{payment_id}/confirm"
        return _payment(await self._call("POST", path, key, {"code": code}))

    async def capture(self, payment_id: str, *, amount: int, key: str) -> GatewayPayment:
        """The payment, captured."""
        path = f"/v1/payments/{payment_id}/capture"
        return _payment(await self._call("POST", path, key, {"amount": amount}))

    async def void(self, payment_id: str, *, key: str) -> GatewayPayment:
        """The payment, voided."""
        return _payment(await self._call("POST", f"/v1/payments/{payment_id}/void", key, {}))

    async def refund(self, payment_id: str, *, amount: int, key: str) -> str:
        """The gateway's id of the refund."""
        path = f"/v1/payments/{payment_id}/refunds"
        answer = await self._call("POST", path, key, {"amount": amount})
        if answer.get("status") != "succeeded":
            raise GatewayFault("a refund that has not succeeded")
        return str(answer["id"])

    async def get(self, payment_id: str) -> GatewayPayment:
        """The payment as it is now. Calls still on their way are not in it."""
        try:
            return _payment(await self._call("GET", f"/v1/payments/{payment_id}"))
        except GatewayRefusal as refused:
            raise GatewayFault(f"the gateway does not show a payment: {refused.code}") from refused

    async def close(self) -> None:
        """Close every connection; the next call opens new ones."""
        await self._partner.close()
        await self._tokens.close()

    async def _call(
        self,
        method: str,
        path: str,
        key: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        with self._breaker.calling():
            return await self._answered(method, path, key, body)

    async def _answered(
        self, method: str, path: str, key: str | None, body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        token = await self._tokens.token()
        answer = await self._sent(method, path, key, body, token)
        if answer.status == UNAUTHORISED:
            token = await self._tokens.token(other_than=token)
            answer = await self._sent(method, path, key, body, token)
        if answer.is_success:
            return _json(answer)
        if not answer.is_client_error or answer.status in {UNAUTHORISED, 403, *TRY_LATER}:
            raise GatewayFault(f"status {answer.status} on {method} {path}")
        error = _json(answer).get("error")
        raise GatewayRefusal(str(error.get("code")) if isinstance(error, dict) else "refused")

    async def _sent(
        self,
        method: str,
        path: str,
        key: str | None,
        body: Mapping[str, Any] | None,
        token: str,
    ) -> Answer:
        headers = {"Authorization": f"Bearer {token}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            return await self._partner.send(method, path, headers=headers, body=body)
        except NoAnswer as fault:
            raise GatewayFault(f"{fault} on {method} {path}") from fault


def _json(answer: Answer) -> dict[str, Any]:
    try:
        return answer.json()
    except ValueError as fault:
        raise GatewayFault(f"status {answer.status} without a JSON object") from fault


def _payment(body: Mapping[str, Any]) -> GatewayPayment:
    try:
        return GatewayPayment(
            id=str(body["id"]),
            status=body["status"],
            amount=int(body["amount"]),
            captured_amount=int(body["captured_amount"]),
            decline_code=body.get("decline_code"),
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise GatewayFault("a payment that is not described in full") from fault
