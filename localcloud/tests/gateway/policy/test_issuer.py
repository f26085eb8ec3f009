"""The keys of an issuer: rotation, stampedes, and a provider that is away."""

import asyncio

import pytest

from localcloud.gateway.policy import Refusal
from localcloud.gateway.policy.jwt import (
    REFRESH_AFTER_S,
    REFRESH_AT_MOST_EVERY_S,
    REMEMBERED,
    RETRY_FIRST_FETCH_AFTER_S,
    Issuer,
)
from localcloud.tests.gateway.policy.doubles import CONFIGURATION, Signer

SOURCE = "validate-jwt"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def reason(issuer: Issuer, token: str, signer: Signer) -> str:
    with pytest.raises(Refusal) as refusal:
        await issuer.verified(token, signer.fetch, SOURCE)
    return refusal.value.reason


async def test_a_new_key_is_fetched_when_a_token_names_it() -> None:
    signer, clock = Signer(), Clock()
    issuer = Issuer(CONFIGURATION, clock=clock)
    await issuer.verified(signer.token(), signer.fetch, SOURCE)
    signer.add("second")
    assert await reason(issuer, signer.token(kid="second"), signer) == "TokenSignatureKeyNotFound"
    clock.now += REFRESH_AT_MOST_EVERY_S
    assert (await issuer.verified(signer.token(kid="second"), signer.fetch, SOURCE)).subject
    assert len(signer.fetched) == 4


async def test_unknown_keys_do_not_make_the_gateway_ask_again_and_again() -> None:
    signer, clock = Signer(), Clock()
    issuer = Issuer(CONFIGURATION, clock=clock)
    await issuer.verified(signer.token(), signer.fetch, SOURCE)
    stranger = Signer()
    stranger.add("x")
    for _ in range(20):
        await reason(issuer, stranger.token(kid="x"), signer)
    assert len(signer.fetched) == 2


async def test_a_key_that_was_taken_away_signs_nothing_any_more() -> None:
    signer, clock = Signer(), Clock()
    issuer = Issuer(CONFIGURATION, clock=clock)
    token = signer.token()
    await issuer.verified(token, signer.fetch, SOURCE)
    del signer.keys["first"]
    signer.add("second")
    clock.now += REFRESH_AT_MOST_EVERY_S
    await issuer.verified(signer.token(kid="second"), signer.fetch, SOURCE)
    assert await reason(issuer, token, signer) == "TokenSignatureKeyNotFound"


@pytest.mark.conforms(
    "validate-jwt",
    "the configuration is pulled every hour and cached",
    source="learn:azure/api-management/validate-jwt-policy#elements",
)
async def test_keys_are_read_again_every_hour_even_for_tokens_seen_before() -> None:
    signer, clock = Signer(), Clock()
    issuer = Issuer(CONFIGURATION, clock=clock)
    token = signer.token()
    await issuer.verified(token, signer.fetch, SOURCE)
    signer.keys.clear()
    clock.now += REFRESH_AFTER_S + 1
    assert await reason(issuer, token, signer) == "TokenSignatureKeyNotFound"


async def test_a_provider_that_is_away_leaves_the_known_keys_in_force() -> None:
    signer, clock = Signer(), Clock()
    issuer = Issuer(CONFIGURATION, clock=clock)
    await issuer.verified(signer.token(), signer.fetch, SOURCE)
    signer.away = True
    clock.now += REFRESH_AFTER_S + 1
    assert (await issuer.verified(signer.token(sub="a"), signer.fetch, SOURCE)).subject == "a"
    assert (await issuer.verified(signer.token(sub="b"), signer.fetch, SOURCE)).subject == "b"
    assert len(signer.fetched) == 3


async def test_while_no_key_was_ever_read_nobody_comes_in_and_it_is_tried_again() -> None:
    signer, clock = Signer(), Clock()
    issuer = Issuer(CONFIGURATION, clock=clock)
    signer.away = True
    token = signer.token()
    with pytest.raises(Refusal) as refusal:
        await issuer.verified(token, signer.fetch, SOURCE)
    assert (refusal.value.reason, refusal.value.status) == ("OpenIdConfigurationUnavailable", 503)
    signer.away = False
    assert await reason(issuer, token, signer) == "OpenIdConfigurationUnavailable"
    clock.now += RETRY_FIRST_FETCH_AFTER_S
    assert (await issuer.verified(token, signer.fetch, SOURCE)).subject == "subject"


async def test_a_crowd_makes_one_fetch_and_a_client_that_leaves_does_not_end_it() -> None:
    signer = Signer()
    gate = asyncio.Event()

    async def slow(url: str) -> bytes:
        await gate.wait()
        return await signer.fetch(url)

    issuer = Issuer(CONFIGURATION)
    waiting = [
        asyncio.create_task(issuer.verified(signer.token(sub=str(number)), slow, SOURCE))
        for number in range(10)
    ]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    gate.set()
    found = await asyncio.gather(*waiting[1:])
    assert [token.subject for token in found] == [str(number) for number in range(1, 10)]
    assert len(signer.fetched) == 2


async def test_the_memory_of_verified_tokens_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localcloud.gateway.policy.jwt.REMEMBERED", 2)
    signer = Signer()
    issuer = Issuer(CONFIGURATION)
    for subject in ("a", "b", "c", "a"):
        token = await issuer.verified(signer.token(sub=subject), signer.fetch, SOURCE)
        assert token.subject == subject
    assert len(issuer._tokens) == 2
    assert REMEMBERED == 4096
