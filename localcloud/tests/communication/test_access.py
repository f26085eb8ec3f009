import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from azure.communication.email import EmailClient
from azure.communication.email.aio import EmailClient as AsyncEmailClient
from azure.core.credentials import AccessToken, AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from localcloud.communication.access import Access, BadKey
from localcloud.tests.communication.conftest import (
    KEY,
    NUMBER,
    address,
    email,
    send,
    sent_to,
    sms_client,
)
from localcloud.tests.partners.part import Part

TENANT = "11111111-1111-4111-8111-111111111111"
AUTHENTICATION = "learn:rest/api/communication/authentication"
OTHER_KEY = base64.b64encode(bytes(32)).decode()


def signed(url: httpx.URL, body: bytes, **changes: str) -> dict[str, str]:
    """Headers of a request that is signed as Microsoft's page says, but for the `changes`."""
    content_hash = base64.b64encode(hashlib.sha256(body).digest()).decode()
    facts = {
        "method": "POST",
        "target": url.raw_path.decode(),
        "host": f"{url.host}:{url.port}",
        "date": format_datetime(datetime.now(UTC), usegmt=True),
        "hash": content_hash,
        "key": KEY,
        "headers": "x-ms-date;host;x-ms-content-sha256",
    } | changes
    text = "{method}\n{target}\n{date};{host};{hash}".format(**facts)
    digest = hmac.digest(base64.b64decode(facts["key"]), text.encode(), "sha256")
    signature = base64.b64encode(digest).decode()
    return {
        "Content-Type": "application/json",
        "x-ms-date": facts["date"],
        "x-ms-content-sha256": facts["hash"],
        "Authorization": (f"HMAC-SHA256 SignedHeaders={facts['headers']}&Signature={signature}"),
    }


def post(http: httpx.Client, to: str, sign: dict[str, str]) -> httpx.Response:
    request = http.build_request(
        "POST", "/emails:send", params={"api-version": "2025-09-01"}, json=email(to)
    )
    request.headers.update(signed(request.url, request.content, **sign))
    return http.send(request)


@pytest.mark.conforms(
    "Authentication",
    "A request is signed with HMAC-SHA256 over method, path with query, date, host and the hash of"
    " the body.",
    source=AUTHENTICATION,
)
def test_a_request_signed_by_hand_is_accepted(http: httpx.Client) -> None:
    to = address()
    assert post(http, to, {}).status_code == 202
    assert len(sent_to(http, to)) == 1


@pytest.mark.conforms(
    "Authentication",
    "A signature over anything else, or with another key, is refused with 401.",
    source=AUTHENTICATION,
)
@pytest.mark.parametrize(
    "sign",
    [
        {"key": OTHER_KEY},
        {"method": "GET"},
        {"target": "/emails:send"},
        {"host": "elsewhere.example"},
        {"hash": base64.b64encode(hashlib.sha256(b"other").digest()).decode()},
        {"headers": "x-ms-date;host"},
        {"date": "tomorrow"},
    ],
    ids=lambda sign: next(iter(sign)),
)
def test_a_bad_signature_is_denied(http: httpx.Client, sign: dict[str, str]) -> None:
    to = address()
    answer = post(http, to, sign)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "Denied"
    assert sent_to(http, to) == []


@pytest.mark.parametrize(("minutes", "status"), [(-6, 401), (-4, 202), (4, 202), (6, 401)])
def test_the_clock_of_a_client_may_be_a_little_off(
    http: httpx.Client, minutes: int, status: int
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    assert post(http, address(), {"date": date}).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "HMAC-SHA256 nonsense"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "HMAC-SHA256 SignedHeaders=ä&Signature=ä".encode()},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/emails:send"), ("GET", "/emails/operations/x"), ("POST", "/sms")],
)
def test_nobody_gets_in_without_a_signature_or_a_token(
    http: httpx.Client, method: str, path: str, headers: dict[str, Any]
) -> None:
    answer = http.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "Denied"
    assert answer.headers["www-authenticate"] == "HMAC-SHA256, Bearer"


def test_the_sdks_report_a_wrong_key_as_such(part: Part) -> None:
    with pytest.raises(ClientAuthenticationError) as email_refusal:
        send(EmailClient(part.url, AzureKeyCredential(OTHER_KEY)), email())
    assert email_refusal.value.error is not None
    assert email_refusal.value.error.code == "Denied"
    with pytest.raises(ClientAuthenticationError):
        sms_client(part, OTHER_KEY).send(NUMBER, "+4915112345678", "text")


class Credential:
    """Shows the token that it was given, as a managed identity would."""

    def __init__(self, token: str) -> None:
        self._token = token
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        self.scopes.extend(scopes)
        return AccessToken(self._token, 4_102_444_800)


class AsyncCredential(Credential):
    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # type: ignore[override]
        return super().get_token(*scopes, **options)


def token(identity: Part, **order: Any) -> str:
    claims = {
        "aud": "https://communication.azure.com",
        "roles": ["Communication and Email Service Owner"],
    }
    claims |= order.pop("claims", {})
    answer = httpx.post(
        f"{identity.url}/control/tokens", json={"person": "ada", "claims": claims} | order
    )
    minted: str = answer.json()["access_token"]
    return minted


@pytest.mark.conforms(
    "Authentication",
    "A token of Microsoft Entra for https://communication.azure.com is as good as the key.",
    source=AUTHENTICATION,
)
def test_a_token_of_the_identity_is_accepted(
    part: Part, identity: Part, http: httpx.Client
) -> None:
    to, credential = address(), Credential(token(identity))
    client = EmailClient(part.url, credential)
    client.begin_send(email(to), polling=False, enforce_https=False)
    assert len(sent_to(http, to)) == 1
    assert credential.scopes == ["https://communication.azure.com//.default"]


async def test_the_asynchronous_sdk_may_use_a_token_too(
    part: Part, identity: Part, http: httpx.Client
) -> None:
    to = address()
    credential: Any = AsyncCredential(token(identity))
    async with AsyncEmailClient(part.url, credential) as client:
        await client.begin_send(email(to), polling=False, enforce_https=False)
    assert len(sent_to(http, to)) == 1


@pytest.mark.parametrize(
    "order",
    [
        {"claims": {"aud": "https://servicebus.azure.net"}},
        {"claims": {"iss": "https://elsewhere.example"}},
        {"expires_in": -60},
        {"forged": True},
    ],
    ids=["audience", "issuer", "expired", "forged"],
)
def test_a_token_that_is_not_good_is_denied(
    part: Part, identity: Part, http: httpx.Client, order: dict[str, Any]
) -> None:
    to = address()
    with pytest.raises(ClientAuthenticationError):
        EmailClient(part.url, Credential(token(identity, **order))).begin_send(
            email(to), polling=False, enforce_https=False
        )
    assert sent_to(http, to) == []


@pytest.mark.parametrize("roles", [None, [], ["Reader"]])
def test_an_identity_without_a_role_may_not_send(
    part: Part, identity: Part, http: httpx.Client, roles: list[str] | None
) -> None:
    to = address()
    client = EmailClient(part.url, Credential(token(identity, claims={"roles": roles})))
    with pytest.raises(HttpResponseError) as refusal:
        client.begin_send(email(to), polling=False, enforce_https=False)
    assert refusal.value.status_code == 403
    assert sent_to(http, to) == []


def test_an_access_key_is_base64() -> None:
    with pytest.raises(BadKey):
        Access(["no base64!"], None)
