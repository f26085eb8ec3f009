"""A vault and the directory whose tokens it takes, and tokens of several people."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.keyvault.secrets import SecretClient

from localcloud.identity.directory import KEY_VAULT, WORKLOADS
from localcloud.tests.partners.part import Part, running

OFFICER = "Key Vault Secrets Officer"


@dataclass(frozen=True)
class Here:
    """A running vault: where it is, whom it trusts, what it is called in tokens."""

    part: Part
    identity: Part
    state: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.part.port}"

    @property
    def resource(self) -> str:
        return f"https://0.0.1:{self.part.port}"

    @property
    def ca_file(self) -> str:
        return str(self.state / "pki" / "authority.pem")

    def token(self, *, resource: str = KEY_VAULT, expires_in: int = 600, **claims: object) -> str:
        """A token of the platform's identity, made to order."""
        answer = httpx.post(
            f"{self.identity.url}/control/tokens",
            json={
                "workload": "platform",
                "resource": resource,
                "expires_in": expires_in,
                "claims": claims,
            },
        )
        token: str = answer.json()["access_token"]
        return token


class Bearer:
    """A credential with a token that is already there."""

    def __init__(self, token: str) -> None:
        self._token, self.asked = token, list[str]()

    def get_token(self, *scopes: str, **_options: object) -> AccessToken:
        self.asked += scopes
        return AccessToken(self._token, 2**33)


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    with running("localcloud.identity", tmp_path_factory.mktemp("identity")) as part:
        yield part


@pytest.fixture(scope="session")
def vault(tmp_path_factory: pytest.TempPathFactory, identity: Part) -> Iterator[Here]:
    state = tmp_path_factory.mktemp("keyvault")
    with running("localcloud.keyvault", state, "--identity", identity.url) as part:
        yield Here(part, identity, state)


@pytest.fixture
def as_platform(identity: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that App Service gives the function app."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{identity.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", WORKLOADS["platform"].header)


@pytest.fixture
def officer(vault: Here) -> Iterator[SecretClient]:
    """A client that may do everything."""
    credential = Bearer(vault.token(resource=vault.resource, roles=[OFFICER]))
    with SecretClient(vault.url, credential, connection_verify=vault.ca_file) as client:
        yield client


@pytest.fixture
def http(vault: Here) -> Iterator[httpx.Client]:
    """Requests as nobody's SDK makes them."""
    trust = ssl.create_default_context(cafile=vault.ca_file)
    with httpx.Client(
        base_url=vault.url, verify=trust, params={"api-version": "7.6"}, trust_env=False
    ) as client:
        yield client
