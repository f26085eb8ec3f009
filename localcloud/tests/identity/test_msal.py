"""The unmodified msal signs a person in, refreshes, and gets tokens for an application."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msal  # type: ignore[import-untyped]
import pytest

from localcloud.tests.identity.application import (
    CLIENTS,
    CLIENTS_API,
    CUSTOMER_PORTAL,
    EMPLOYEES,
    REDIRECT_URI,
)
from localcloud.tests.identity.conftest import MODULE
from localcloud.tests.partners.part import running

PUBLIC = "https://sign-in.example"
SCOPES = [f"api://{CLIENTS_API}/orders.readwrite"]


class Front:
    """Ends TLS, so to speak: msal asks under https only, and behind it the part listens."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_options: Any,
    ) -> httpx.Response:
        return self._http.get(self._behind(url), params=params, headers=headers)

    def post(
        self,
        url: str,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **_options: Any,
    ) -> httpx.Response:
        return self._http.post(self._behind(url), data=data, headers=headers)

    def close(self) -> None:
        self._http.close()

    def _behind(self, url: str) -> str:
        assert url.startswith(PUBLIC)
        return url.removeprefix(PUBLIC)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    state = tmp_path_factory.mktemp("msal")
    with (
        running(MODULE, state, "--public-url", PUBLIC) as part,
        httpx.Client(base_url=part.url, trust_env=False) as http,
    ):
        yield Front(http)


def test_a_public_client_signs_a_person_in_and_refreshes(front: Front) -> None:
    client = msal.PublicClientApplication(
        CUSTOMER_PORTAL, oidc_authority=f"{PUBLIC}/{CLIENTS}/v2.0", http_client=front
    )
    # What msal recommends is for servers; in the browser the code stays in the address.
    with pytest.warns(UserWarning, match="form_post"):
        flow = client.initiate_auth_code_flow(SCOPES, redirect_uri=REDIRECT_URI)
    answer = front.post(flow["auth_uri"], {"person": "alice"})
    redirected = parse_qs(urlsplit(answer.headers["location"]).query)

    tokens = client.acquire_token_by_auth_code_flow(
        flow, {name: values[0] for name, values in redirected.items()}
    )
    (account,) = client.get_accounts()
    refreshed = client.acquire_token_silent(SCOPES, account, force_refresh=True)

    assert tokens["id_token_claims"]["name"] == "Alice Moreau"
    assert tokens["id_token_claims"]["iss"] == f"{PUBLIC}/{CLIENTS}/v2.0"
    assert account["username"] == "alice@clients.example"
    assert refreshed is not None
    assert refreshed["access_token"] != tokens["access_token"]
    assert answer.headers["set-cookie"].endswith("; SameSite=lax; Secure")


def test_a_confidential_client_gets_a_token_for_itself(front: Front) -> None:
    client = msal.ConfidentialClientApplication(
        "payment-client",
        client_credential="local-payment-client-secret",
        oidc_authority=f"{PUBLIC}/{EMPLOYEES}/v2.0",
        http_client=front,
    )

    tokens = client.acquire_token_for_client(["api://payment-gateway/.default"])

    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 3599
