"""Blobs by token over HTTPS, as a managed identity without any key opens them."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity import ManagedIdentityCredential
from azure.storage.blob import BlobServiceClient

from localcloud import keyless, parts
from localcloud.cloud import LocalCloud
from localcloud.identity.directory import WORKLOADS
from localcloud.storage import azurite


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    steps = (parts.IDENTITY, parts.AZURITE)
    started = LocalCloud(tmp_path_factory.mktemp("tokens") / "state", steps=steps, keyless=True)
    with started:
        yield started


def _trusted(cloud: LocalCloud) -> str:
    return str(keyless.authority(cloud.state.path).file)


def _blobs(cloud: LocalCloud, credential: Any) -> BlobServiceClient:
    return BlobServiceClient(
        azurite.endpoint(cloud.ports, "blob", "https"),
        credential=credential,
        connection_verify=_trusted(cloud),
        retry_total=0,
    )


class Credential:
    """Shows a token that the test has made."""

    def __init__(self, cloud: LocalCloud, **asked: Any) -> None:
        wanted = {"workload": "platform", "resource": "https://storage.azure.com", **asked}
        made = httpx.post(
            f"{cloud.url('identity')}/control/tokens", json=wanted, trust_env=False
        ).raise_for_status()
        self._token = str(made.json()["access_token"])

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(self._token, 4_102_444_800)


def test_a_managed_identity_keeps_blobs(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    workload = keyless.identity_settings(WORKLOADS["platform"], cloud.url("identity"))
    for name, value in workload.items():
        monkeypatch.setenv(name, value)
    with ManagedIdentityCredential() as credential, _blobs(cloud, credential) as blobs:
        container = blobs.create_container("kept")
        container.upload_blob("greeting", b"hello")
    # What was acknowledged over HTTPS is on disk.
    cloud.kill("azurite")
    cloud.start_part("azurite")
    with ManagedIdentityCredential() as credential, _blobs(cloud, credential) as blobs:
        assert blobs.get_blob_client("kept", "greeting").download_blob().readall() == b"hello"


@pytest.mark.parametrize(
    "asked",
    [
        {"resource": "https://servicebus.azure.net"},
        {"expires_in": -5},
        {"claims": {"iss": "http://elsewhere.example/v2.0"}},
    ],
    ids=["another resource", "expired", "another issuer"],
)
def test_another_token_opens_nothing(cloud: LocalCloud, asked: dict[str, Any]) -> None:
    credential = Credential(cloud, **asked)
    with _blobs(cloud, credential) as blobs, pytest.raises(ClientAuthenticationError):
        blobs.create_container("refused")


def test_whoever_does_not_trust_the_authority_sends_no_token(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    other = keyless.authority(tmp_path).file
    context = ssl.create_default_context(cafile=other)
    with (
        socket.create_connection(("127.0.0.1", cloud.ports["blob"]), 10) as line,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(line, server_hostname="127.0.0.1")
    address = azurite.endpoint(cloud.ports, "blob", "https")
    with (
        BlobServiceClient(address, credential=Credential(cloud), retry_total=0) as blobs,
        pytest.raises(ServiceRequestError),
    ):
        blobs.create_container("refused")
