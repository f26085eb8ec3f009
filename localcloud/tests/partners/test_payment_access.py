"""Who may use the payment gateway: tokens of the identity provider, and nothing less."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from localcloud.tests.partners.part import Part, running


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_only_a_valid_token_with_the_role_may_move_money(
    gateway: httpx.AsyncClient, identity: Part
) -> None:
    async def status_of(**made: Any) -> tuple[int, str, str]:
        claims = {"aud": "api://payment-gateway", "sub": "s", "roles": ["payments.process"]}
        claims |= made.pop("claims", {})
        body = {"tenant": "employees", "claims": claims} | made
        async with httpx.AsyncClient(base_url=identity.url) as http:
            token = (await http.post("/control/tokens", json=body)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        answer = await gateway.get("/v1/payments?reference=x", headers=headers)
        if answer.status_code == 200:
            return 200, "", ""
        return *error(answer), answer.headers["www-authenticate"].partition(", ")[2]

    invalid = (401, "token_invalid", 'error="invalid_token"')
    assert await status_of() == (200, "", "")
    assert await status_of(forged=True) == invalid
    assert await status_of(expires_in=-60) == invalid
    assert await status_of(kid="unheard-of") == invalid
    assert await status_of(tenant="clients") == invalid
    assert await status_of(claims={"aud": "api://something-else"}) == invalid
    assert await status_of(claims={"roles": []}) == (
        403,
        "role_missing",
        'error="insufficient_scope"',
    )


@pytest.mark.parametrize("authorization", ["", "Bearer", "Basic dXNlcjpwYXNz"])
async def test_without_a_token_the_challenge_names_no_error(
    gateway: httpx.AsyncClient, authorization: str
) -> None:
    headers = {"Authorization": authorization}

    answer = await gateway.get("/v1/payments?reference=x", headers=headers)

    assert error(answer) == (401, "token_missing")
    assert answer.headers["www-authenticate"] == 'Bearer realm="payment-gateway"'


async def test_a_token_that_is_no_token_is_invalid(gateway: httpx.AsyncClient) -> None:
    headers = {"Authorization": "Bearer not.a.token"}

    answer = await gateway.get("/v1/payments?reference=x", headers=headers)

    assert error(answer) == (401, "token_invalid")


def test_without_an_identity_provider_the_gateway_says_that_it_cannot_check(
    tmp_path: Path, token: str
) -> None:
    options = ("--identity", "http://127.0.0.1:9")
    with running("localcloud.partners.payment", tmp_path, *options) as part:
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.get(f"{part.url}/v1/payments?reference=x", headers=headers)

    assert error(answer) == (503, "identity_unavailable")
    assert answer.headers["retry-after"] == "1"
