"""One identity provider for the tests of this folder, and how a stranger checks its tokens."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import jwt
import pytest

from localcloud.tests.partners.part import Part, running

MODULE = "localcloud.identity"


class Stranger:
    """Knows nothing but the address: everything else comes from discovery and the key set."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def verified(self, token: str, tenant: str, audience: str) -> Any:
        """The claims of a token. Raises a PyJWTError when it is not good."""
        found = (await self._http.get(f"/{tenant}/v2.0/.well-known/openid-configuration")).json()
        keys = jwt.PyJWKSet.from_dict((await self._http.get(found["jwks_uri"])).json())
        key = keys[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(
            token,
            key.key,
            ["RS256"],
            {"require": ["iss", "aud", "iat", "nbf", "exp", "sub", "oid", "tid", "uti", "ver"]},
            audience=audience,
            issuer=found["issuer"],
        )


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    with running(MODULE, tmp_path_factory.mktemp("identity")) as part:
        yield part


@pytest.fixture
async def http(identity: Part) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=identity.url, trust_env=False) as client:
        yield client


@pytest.fixture
def stranger(http: httpx.AsyncClient) -> Stranger:
    return Stranger(http)
