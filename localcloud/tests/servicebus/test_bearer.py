"""Tokens of an identity provider instead of keys, for both clients and the administration API."""

import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusAuthenticationError
from azure.servicebus.management import ServiceBusAdministrationClient
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from localcloud.servicebus.frames import AMQP_HEADER
from localcloud.tests.servicebus.javascript import features
from localcloud.tests.servicebus.peer import Peer, error_of, sas
from localcloud.tests.servicebus.rig import BrokerProcess, running, write_topology

ISSUER = "https://issuer.example/v2.0"
AUDIENCE = "https://servicebus.azure.net"
OWNER = ["Azure Service Bus Data Owner"]
SENDER, RECEIVER = ["Azure Service Bus Data Sender"], ["Azure Service Bus Data Receiver"]


class Issuer:
    """Signs tokens, and publishes the key to check them with."""

    def __init__(self) -> None:
        self.key = generate_private_key(65_537, 2_048)
        keys = {"keys": [_public(self.key, "k1")]}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(keys).encode())

            def log_message(self, *_: Any) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, *, key: Any = None, algorithm: str = "RS256", **claims: Any) -> str:
        now = int(time.time())
        given = {"iss": ISSUER, "aud": f"{AUDIENCE}/", "iat": now, "exp": now + 600, "roles": OWNER}
        given |= claims
        left = {name: value for name, value in given.items() if value is not None}
        return jwt.encode(left, key or self.key, algorithm, headers={"kid": "k1"})


def _public(key: RSAPrivateKey, kid: str) -> dict[str, Any]:
    found = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**found, "kid": kid, "use": "sig", "alg": "RS256"}


class Credential:
    """What the Python SDK asks for tokens."""

    def __init__(self, token: str) -> None:
        self._token = token
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken(self._token, int(time.time()) + 600)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def keyless(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("keyless")
    topology = write_topology(folder / "t.json", {}, {"q": {}, "other": {}})
    options = ("--jwks-url", issuer.url, "--token-issuer", ISSUER)
    ports = ("--tls-port", "0", "--admin-port", "0")
    with running(topology, folder / "state", *options, *ports) as broker:
        yield broker


@pytest.fixture
async def peer(keyless: BrokerProcess) -> AsyncIterator[Peer]:
    async with Peer.connected(keyless.port) as connected:
        await connected.open()
        await connected.begin()
        yield connected


@pytest.mark.conforms(
    "Security",
    "a client proves who it is with a token of its identity provider over $cbs",
    source="learn:azure/service-bus-messaging/service-bus-amqp-protocol-guide",
)
def test_the_python_sdk_works_with_a_token_credential(
    keyless: BrokerProcess, issuer: Issuer
) -> None:
    credential: Any = Credential(issuer.token())
    address = f"127.0.0.1:{keyless.port}"
    with (
        ServiceBusClient(address, credential, use_tls=False) as client,
        client.get_queue_sender("q") as sender,
        client.get_queue_receiver("q") as receiver,
    ):
        sender.send_messages(ServiceBusMessage("with a token"))
        (message,) = receiver.receive_messages(max_wait_time=10)
        receiver.complete_message(message)
        assert str(message) == "with a token"
    assert credential.scopes[0] == f"{AUDIENCE}//.default"
    stranger: Any = Credential("no.token.at.all")
    with (
        pytest.raises(ServiceBusAuthenticationError),
        ServiceBusClient(address, stranger, use_tls=False, retry_total=0) as client,
        client.get_queue_sender("q"),
    ):
        pass


async def test_the_javascript_sdk_works_with_a_token_credential_over_tls(
    keyless: BrokerProcess, issuer: Issuer
) -> None:
    settings = {
        "ENDPOINT": f"sb://localhost:{keyless.tls_port}",
        "TOKEN": issuer.token(),
        "NODE_EXTRA_CA_CERTS": str(keyless.certificate),
    }
    seen = await features(keyless.connection_string(), "credential.mjs", settings=settings)
    assert seen["credential"] == {
        "body": "with a token",
        "scope": f"{AUDIENCE}//.default",
        "refused": "UnauthorizedAccess",
    }


def test_the_administration_api_takes_the_same_tokens(
    keyless: BrokerProcess, issuer: Issuer
) -> None:
    def administration(token: str) -> ServiceBusAdministrationClient:
        credential: Any = Credential(token)
        address = f"127.0.0.1:{keyless.admin_port}"
        trusted = str(keyless.certificate)
        return ServiceBusAdministrationClient(address, credential, connection_verify=trusted)

    with administration(issuer.token()) as admin:
        assert [queue.name for queue in admin.list_queues()] == ["other", "q"]
    with (
        administration(issuer.token(aud="https://vault.azure.net")) as admin,
        pytest.raises(ClientAuthenticationError, match="InvalidAudienceError"),
    ):
        admin.get_queue("q")


async def test_what_is_not_tls_is_cut_off_and_hinders_nobody(
    keyless: BrokerProcess, peer: Peer
) -> None:
    for garbage in (AMQP_HEADER, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 99):
        async with Peer.connected(keyless.tls_port) as stranger:
            await stranger.write(garbage)
            assert await stranger.ended()
    assert await peer.authorize(sas("sb://127.0.0.1/q"), "sb://127.0.0.1/q") == 202


async def test_a_token_opens_the_entity_it_is_put_for_only(peer: Peer, issuer: Issuer) -> None:
    assert await peer.authorize(issuer.token(), "sb://127.0.0.1/q") == 202
    await peer.link(0, "q")
    await peer.attach(1, "other")
    fields, _ = await peer.skip_to(0x12)
    assert fields.value(5) is None


@pytest.mark.conforms(
    "Security",
    "\"Unauthorized access. 'Send' claim(s) are required to perform this operation.\"",
    source="issue:Azure/azure-service-bus/issues/354",
)
async def test_a_sender_may_not_receive_and_a_receiver_not_send(peer: Peer, issuer: Issuer) -> None:
    refusals = {"Send": (0, RECEIVER), "Listen": (1, SENDER)}
    for right, (handle, roles) in refusals.items():
        assert await peer.authorize(issuer.token(roles=roles), "sb://127.0.0.1/q") == 202
        await peer.attach(handle, "q", receives=right == "Listen")
        fields, _ = await peer.skip_to(0x16)
        condition, told = error_of(fields, 2)
        assert condition == "amqp:unauthorized-access"
        assert told.startswith(f"Unauthorized access. '{right}' claim(s) are required")


async def test_an_identity_without_a_role_opens_nothing(peer: Peer, issuer: Issuer) -> None:
    for handle, roles in enumerate((None, [], ["Reader"], "Azure Service Bus Data Owner")):
        assert await peer.authorize(issuer.token(roles=roles), "sb://127.0.0.1/q") == 202
        await peer.attach(handle, "q")
        fields, _ = await peer.skip_to(0x16)
        assert error_of(fields, 2)[0] == "amqp:unauthorized-access"


def test_only_an_owner_administers(keyless: BrokerProcess, issuer: Issuer) -> None:
    credential: Any = Credential(issuer.token(roles=[*SENDER, *RECEIVER]))
    address, trusted = f"127.0.0.1:{keyless.admin_port}", str(keyless.certificate)
    with (
        ServiceBusAdministrationClient(address, credential, connection_verify=trusted) as admin,
        pytest.raises(ClientAuthenticationError, match="Manage claim"),
    ):
        admin.get_queue("q")


async def test_a_signature_is_still_good(peer: Peer) -> None:
    assert await peer.authorize(sas("sb://127.0.0.1/q"), "sb://127.0.0.1/q") == 202


async def test_bad_tokens_are_refused(peer: Peer, issuer: Issuer) -> None:
    no_key: Any = None
    bad = {
        "expired": issuer.token(exp=int(time.time()) - 5),
        "another audience": issuer.token(aud="https://vault.azure.net"),
        "another issuer": issuer.token(iss="https://elsewhere.example"),
        "without an end": issuer.token(exp=None),
        "without an audience": issuer.token(aud=None),
        "not yet": issuer.token(nbf=int(time.time()) + 600),
        "forged": issuer.token(key=generate_private_key(65_537, 2_048)),
        "unsigned": jwt.encode({"iss": ISSUER}, no_key, "none", headers={"kid": "k1"}),
        "symmetric": issuer.token(key="x" * 32, algorithm="HS256"),
        "no token": "x.y.z",
        "empty": "",
    }
    for what, token in bad.items():
        assert await peer.authorize(token, "sb://127.0.0.1/q") == 401, what
    await peer.attach(0, "q")
    fields, _ = await peer.skip_to(0x12)
    assert fields.value(5) is None


async def test_a_link_ends_when_its_token_does(peer: Peer, issuer: Issuer) -> None:
    token = issuer.token(exp=int(time.time()) + 2)
    assert await peer.authorize(token, "sb://127.0.0.1/q") == 202
    await peer.link(0, "q")
    fields, _ = await peer.skip_to(0x16)
    assert fields.number(0) == 0


def test_a_provider_that_cannot_be_asked_opens_nothing(issuer: Issuer, tmp_path: Path) -> None:
    topology = write_topology(tmp_path / "t.json", {}, {"q": {}})
    nowhere = ("--jwks-url", "http://127.0.0.1:1/keys", "--token-issuer", ISSUER)
    with running(topology, tmp_path / "state", *nowhere) as broker:
        credential: Any = Credential(issuer.token())
        address = f"127.0.0.1:{broker.port}"
        with (
            pytest.raises(ServiceBusAuthenticationError),
            ServiceBusClient(address, credential, use_tls=False, retry_total=0) as client,
            client.get_queue_sender("q"),
        ):
            pass
