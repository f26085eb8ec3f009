"""Keys of a directory that runs: while they change nobody is turned away; old ones open nothing."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from shared.auth import Authenticator, TrustedIssuer
from shared.problem import TokenInvalid
from tests.integration.notifier.rig import Identity, somebody


@pytest.fixture
def identity(tmp_path: Path) -> Iterator[Identity]:
    provider = Identity(tmp_path)
    yield provider
    provider.stop()


class Clock:
    """Lets the pause between two looks at the keys pass at once."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


async def rotate(identity: Identity, retire_after_s: int) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(
            f"{identity.base}/control/keys/rotate",
            json={"tenant": "clients", "retire_after_s": retire_after_s},
        )
    assert answer.status_code == 200, answer.text


async def test_a_key_that_was_rotated_out_opens_nothing(identity: Identity) -> None:
    settings, clock, person = identity.settings(), Clock(), somebody()
    authenticator = Authenticator(
        [
            TrustedIssuer(
                "client",
                settings["AUTH_CLIENTS_ISSUER"],
                settings["AUTH_CLIENTS_AUDIENCE"],
                settings["AUTH_CLIENTS_JWKS_URL"],
            )
        ],
        clock=clock,
    )

    async def person_of(token: str) -> UUID:
        return (await authenticator.authenticate(f"Bearer {token}")).id

    first = identity.token(person)
    assert await person_of(first) == person

    await rotate(identity, 3600)  # the old key stays published
    second = identity.token(person)
    clock.ahead_s += 31
    assert [await person_of(token) for token in (second, first)] == [person, person]

    await rotate(identity, 0)  # every older key is gone at once
    clock.ahead_s += 31
    assert await person_of(identity.token(person)) == person
    for withdrawn in (first, second, identity.token(person, forged=True)):
        with pytest.raises(TokenInvalid):
            await authenticator.authenticate(f"Bearer {withdrawn}")
