"""Who may publish: key, signature or token; whoever has none of them is told so."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.core.credentials import AccessToken, AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.eventgrid import EventGridPublisherClient, generate_sas

from localcloud.tests.eventgrid.rig import KEY, SCOPE, VERSION, Rig, cloud
from localcloud.tests.partners.part import Part

AUTHENTICATION = "learn:azure/event-grid/authenticate-with-access-keys-shared-access-signatures"
OTHER_KEY = base64.b64encode(bytes(32)).decode()
EVENT = json.dumps([{"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}]).encode()
Mint = Callable[..., str]


class ManagedIdentity:
    """A credential, as far as the SDK asks it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        assert scopes == ("https://eventgrid.azure.net/.default",)
        return AccessToken(self._token, int(datetime.now(UTC).timestamp()) + 3600)


@pytest.fixture(scope="module")
def token(identity: Part) -> Mint:
    """Mints a token with these claims."""

    def mint(**order: Any) -> str:
        claims = {"aud": "https://eventgrid.azure.net", "roles": ["EventGrid Data Sender"]}
        claims |= order.pop("claims", {})
        wanted = {"person": "ada", "claims": claims} | order
        answer = httpx.post(f"{identity.url}/control/tokens", json=wanted)
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    return mint


def signature(rig: Rig, key: str = KEY, minutes: float = 5, topic: str = "clouds") -> str:
    return generate_sas(rig.endpoint(topic), key, datetime.now(UTC) + timedelta(minutes=minutes))


def knock(rig: Rig, credentials: dict[str, str], topic: str = "clouds") -> httpx.Response:
    content_type = {"content-type": "application/cloudevents-batch+json"}
    return rig.http.post(f"/{topic}/api/events", content=EVENT, headers=content_type | credentials)


@pytest.mark.conforms(
    "Event Grid",
    "a request has aeg-sas-key, aeg-sas-token or Authorization: SharedAccessSignature",
    source=AUTHENTICATION,
)
def test_a_key_and_a_signature_made_with_it_open_the_topic(grid: Rig) -> None:
    before = grid.topic("clouds")["published"]

    grid.publish("clouds", cloud())
    credential = AzureSasCredential(signature(grid))
    with EventGridPublisherClient(grid.endpoint("clouds"), credential, retry_total=0) as client:
        client.send(cloud())
    assert knock(grid, {"authorization": f"SharedAccessSignature {signature(grid)}"}).is_success

    assert grid.topic("clouds")["published"] == before + 3


def test_a_token_of_a_managed_identity_opens_the_topic(grid: Rig, token: Mint) -> None:
    before = grid.topic("clouds")["published"]

    with EventGridPublisherClient(
        grid.endpoint("clouds"), ManagedIdentity(token()), retry_total=0
    ) as client:
        # The SDK shows tokens over https alone unless it is told that http will do.
        client.send(cloud(), enforce_https=False)

    assert grid.topic("clouds")["published"] == before + 1


@pytest.mark.parametrize(
    "order",
    [
        {"expires_in": -60},
        {"forged": True},
        {"claims": {"aud": "https://storage.azure.com"}},
        {"claims": {"roles": ["Reader"]}},
        {"claims": {"roles": None}},
    ],
    ids=["expired", "forged", "for another service", "another role", "no role"],
)
def test_a_bad_token_is_refused(grid: Rig, token: Mint, order: dict[str, Any]) -> None:
    refuse(grid, {"authorization": f"Bearer {token(**order)}"})


@pytest.mark.conforms(
    "Event Grid",
    "a request without a good key, signature or token is a 401 with code Unauthorized",
    source=AUTHENTICATION,
)
def test_bad_credentials_are_refused(grid: Rig) -> None:
    late, elsewhere = signature(grid, minutes=-1), signature(grid, topic="grids")
    changed = signature(grid).replace("api%2Fevents", "api%2Fothers")
    for credentials in (
        {},
        {"aeg-sas-key": ""},
        {"aeg-sas-key": OTHER_KEY},
        {"aeg-sas-token": signature(grid, OTHER_KEY)},
        {"aeg-sas-token": late},
        {"aeg-sas-token": elsewhere},
        {"aeg-sas-token": changed},
        {"aeg-sas-token": "r=&e=&s="},
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer nonsense"},
        {"authorization": f"SharedAccessSignature {late}"},
    ):
        refuse(grid, credentials)


def refuse(rig: Rig, credentials: dict[str, str]) -> None:
    """Assert that a publisher with these headers is turned away and changes nothing."""
    before = rig.topic("clouds")

    answer = knock(rig, credentials)

    assert answer.status_code == 401, credentials
    error = answer.json()["error"]
    assert (error["code"], error["details"][0]["code"]) == ("Unauthorized", "Unauthorized")
    after = rig.topic("clouds")
    assert (after["published"], after["refused"]) == (before["published"], before["refused"] + 1)


def test_the_sdk_reports_a_wrong_key_as_such(grid: Rig) -> None:
    with (
        grid.client("clouds", OTHER_KEY) as client,
        pytest.raises(ClientAuthenticationError) as refused,
    ):
        client.send(cloud())

    assert refused.value.error is not None
    assert refused.value.error.code == "Unauthorized"


@pytest.mark.conforms(
    "Event Grid",
    "a topic has two keys; a renewed one opens nothing any more, the other still does",
    source="learn:azure/event-grid/get-access-keys",
)
def test_a_renewed_key_shuts_out_whoever_has_the_old_one(patient: Rig) -> None:
    url = f"{SCOPE}/topics/renewing"
    put = {"properties": {"inputSchema": "CloudEventSchemaV1_0"}}
    assert patient.http.put(url, params=VERSION, json=put).status_code == 201
    keys = patient.http.post(f"{url}/listKeys", params=VERSION).json()
    assert set(keys) == {"key1", "key2"}

    renewed = patient.http.post(
        f"{url}/regenerateKey", params=VERSION, json={"keyName": "key1"}
    ).json()

    assert renewed["key2"] == keys["key2"]
    for key, status in ((keys["key1"], 401), (keys["key2"], 200), (renewed["key1"], 200)):
        assert knock(patient, {"aeg-sas-key": key}, "renewing").status_code == status


@pytest.mark.conforms(
    "Event Grid",
    "a topic with disableLocalAuth takes tokens alone",
    source="learn:azure/event-grid/authenticate-with-microsoft-entra-id",
)
def test_a_topic_without_local_authentication_takes_no_key(grid: Rig, token: Mint) -> None:
    properties = {"inputSchema": "CloudEventSchemaV1_0", "disableLocalAuth": True}
    put = grid.http.put(
        f"{SCOPE}/topics/tokens-only", params=VERSION, json={"properties": properties}
    )
    assert put.status_code == 201

    assert knock(grid, {"aeg-sas-key": KEY}, "tokens-only").status_code == 401
    assert knock(grid, {"authorization": f"Bearer {token()}"}, "tokens-only").status_code == 200
