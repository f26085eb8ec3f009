"""Secrets stay unseen, are kept for a while, and give way to newer ones."""

import asyncio
import copy
import dataclasses
import json
import logging
import pickle
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr
from pydantic_core import PydanticSerializationError

from shared.credentials import Identity
from shared.secrets import Secret, SecretMissing, Secrets, SecretUnavailable, StoreAway, store_of
from shared.secrets.environment import Environment
from shared.secrets.keyvault import KeyVault
from shared.secrets.vault import Vault

NAME = "shipping-api-key"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Safe:
    """A store that answers what it is told to."""

    def __init__(self, answer: str | Exception) -> None:
        self.answer, self.asked, self.closed = answer, 0, False
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self, name: str) -> str:
        assert name == NAME
        self.asked += 1
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        self.closed = True


@dataclasses.dataclass
class Holder:
    key: Secret


class Model(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    key: Secret


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def safe() -> Safe:
    return Safe("first")


@pytest.fixture
def secrets(safe: Safe, clock: Clock) -> Secrets:
    return Secrets(safe, ttl_s=300, clock=clock)


@pytest.mark.parametrize(
    "write",
    [
        str,
        repr,
        lambda secret: f"{secret}{secret!r}{secret!s}{secret:>40}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - as logging does
        lambda secret: repr({"headers": [secret], "holder": Holder(secret)}),
        lambda secret: repr(Model(key=secret)),
        lambda secret: repr(Model(key=secret).model_dump()),
        lambda secret: json.dumps({"key": secret}, default=str),
        lambda secret: repr(SecretUnavailable(secret)),
        lambda secret: repr(dir(secret)),
    ],
)
def test_a_secret_is_not_written(write: Callable[[Secret], str]) -> None:
    assert "hunter2" not in write(Secret("hunter2"))


@pytest.mark.parametrize(
    "send",
    [
        pickle.dumps,
        lambda secret: pickle.dumps(Holder(secret), protocol=0),
        lambda secret: json.dumps({"key": secret}),
        lambda secret: secret.__reduce__(),
        lambda secret: secret.__getstate__(),
        vars,
        list,
        bytes,
        hash,
    ],
)
def test_a_secret_is_not_taken_out_of_the_process(send: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError):
        send(Secret("hunter2"))


def test_a_model_with_a_secret_is_not_serialised() -> None:
    with pytest.raises(PydanticSerializationError):
        Model(key=Secret("hunter2")).model_dump_json()


def test_a_copy_of_a_secret_is_the_secret() -> None:
    secret = Secret("hunter2")
    assert copy.copy(secret) is secret
    assert dataclasses.asdict(Holder(secret))["key"] is secret


def test_secrets_are_equal_by_value_and_no_text() -> None:
    assert Secret("hünter2") == Secret("hünter2")
    assert Secret("hunter2") != Secret("hunter3")
    assert Secret("hunter2") != "hunter2"
    assert Secret("hunter2").reveal() == "hunter2"


async def test_a_secret_is_kept_until_its_time_is_over(
    secrets: Secrets, safe: Safe, clock: Clock
) -> None:
    assert (await secrets.value(NAME)).reveal() == "first"
    safe.answer = "second"
    clock.now += 299.9
    assert (await secrets.value(NAME)).reveal() == "first"
    assert safe.asked == 1
    clock.now += 0.1
    assert (await secrets.value(NAME)).reveal() == "second"
    assert safe.asked == 2


async def test_a_refused_secret_is_asked_for_at_once(secrets: Secrets, safe: Safe) -> None:
    refused = await secrets.value(NAME)
    safe.answer = "second"
    fresh = await secrets.value(NAME, other_than=refused)
    assert fresh.reveal() == "second"
    assert await secrets.value(NAME, other_than=refused) == fresh
    assert safe.asked == 2


async def test_a_secret_that_is_replaced_twice_is_read_twice_at_once(
    secrets: Secrets, safe: Safe
) -> None:
    refused = await secrets.value(NAME)
    for answer in ("second", "third"):
        safe.answer = answer
        fresh = await secrets.value(NAME, other_than=refused)
        assert fresh.reveal() == answer
        refused = fresh
    assert safe.asked == 3


async def test_refusals_without_a_newer_value_do_not_trouble_the_store(
    secrets: Secrets, safe: Safe, clock: Clock
) -> None:
    refused = await secrets.value(NAME)
    for _ in range(10):
        assert await secrets.value(NAME, other_than=refused) == refused
    assert safe.asked == 2
    safe.answer = "second"
    clock.now += 5
    assert (await secrets.value(NAME, other_than=refused)).reveal() == "second"
    assert safe.asked == 3


async def test_the_last_value_is_kept_while_the_store_is_away(
    secrets: Secrets, safe: Safe, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    first = await secrets.value(NAME)
    safe.answer = StoreAway("status 503")
    clock.now += 300
    with caplog.at_level(logging.WARNING):
        assert await secrets.value(NAME) == first
        assert await secrets.value(NAME, other_than=first) == first
    assert (
        caplog.messages == [f"secret {NAME} cannot be read, the last one is kept: status 503"] * 2
    )
    clock.now += 4.9
    assert await secrets.value(NAME) == first
    assert safe.asked == 3
    safe.answer = "second"
    clock.now += 0.1
    assert (await secrets.value(NAME)).reveal() == "second"


async def test_a_store_that_is_away_from_the_start_is_not_asked_by_everybody(
    secrets: Secrets, safe: Safe, clock: Clock
) -> None:
    safe.answer = StoreAway("status 503")
    safe.gate.clear()
    waiting = [asyncio.ensure_future(secrets.value(NAME)) for _ in range(20)]
    await asyncio.sleep(0)
    safe.gate.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert {repr(answer) for answer in answers} == {
        f"SecretUnavailable('no value of the secret {NAME} is at hand')"
    }
    assert safe.asked == 1
    safe.answer = "first"
    clock.now += 5
    assert (await secrets.value(NAME)).reveal() == "first"


@pytest.mark.parametrize("why", ["Key Vault does not hold it", "Key Vault holds it disabled"])
async def test_a_secret_that_must_not_be_used_any_more_is_forgotten(
    secrets: Secrets, safe: Safe, clock: Clock, why: str
) -> None:
    await secrets.value(NAME)
    safe.answer = SecretMissing(why)
    clock.now += 300
    with pytest.raises(SecretUnavailable, match=NAME):
        await secrets.value(NAME)


async def test_one_asks_and_the_others_go_on_with_what_is_known(
    secrets: Secrets, safe: Safe, clock: Clock
) -> None:
    first = await secrets.value(NAME)
    safe.answer = "second"
    safe.gate.clear()
    clock.now += 300
    asking = asyncio.ensure_future(secrets.value(NAME))
    await asyncio.sleep(0)
    assert await secrets.value(NAME) == first
    safe.gate.set()
    assert (await asking).reveal() == "second"
    assert safe.asked == 2


async def test_whoever_was_refused_waits_for_the_one_who_asks(secrets: Secrets, safe: Safe) -> None:
    refused = await secrets.value(NAME)
    safe.answer = "second"
    safe.gate.clear()
    waiting = [asyncio.ensure_future(secrets.value(NAME, other_than=refused)) for _ in range(20)]
    await asyncio.sleep(0)
    safe.gate.set()
    assert {(await fresh).reveal() for fresh in waiting} == {"second"}
    assert safe.asked == 2


async def test_a_caller_that_gives_up_leaves_the_question_to_the_next(
    secrets: Secrets, safe: Safe
) -> None:
    safe.gate.clear()
    gone = asyncio.ensure_future(secrets.value(NAME))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    safe.gate.set()
    assert (await secrets.value(NAME)).reveal() == "first"
    assert safe.asked == 2


async def test_closing_lets_go_of_the_store_and_keeps_what_is_known(
    secrets: Secrets, safe: Safe
) -> None:
    await secrets.value(NAME)
    await secrets.close()
    assert safe.closed
    assert (await secrets.named(NAME).value()).reveal() == "first"
    assert safe.asked == 1


async def test_no_value_is_ever_in_the_log(
    secrets: Secrets, safe: Safe, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        first = await secrets.value(NAME)
        safe.answer = "second"
        await secrets.value(NAME, other_than=first)
        safe.answer = SecretMissing("gone")
        clock.now += 300
        with pytest.raises(SecretUnavailable):
            await secrets.value(NAME)
    assert caplog.messages == [
        f"secret {NAME} has a new value",
        f"secret {NAME} is not used any more: gone",
    ]


async def test_a_setting_is_a_secret_by_its_name() -> None:
    store = Environment(SimpleNamespace(shipping_api_key=SecretStr("key"), shipping_url="http:"))
    assert await store.fetch(NAME) == "key"
    for name in ("shipping-url", "payment-webhook-key"):
        with pytest.raises(SecretMissing):
            await store.fetch(name)
    await store.close()


def settings(**chosen: str) -> SimpleNamespace:
    names = ("key_vault_url", "vault_addr", "vault_role", "trusted_ca_file")
    return SimpleNamespace(**dict.fromkeys(names) | chosen)


def test_the_settings_choose_the_store() -> None:
    identity = Identity()
    assert isinstance(store_of(settings(secrets_provider="environment"), identity), Environment)
    azure = settings(secrets_provider="keyvault", key_vault_url="https://shop.vault.azure.net")
    assert isinstance(store_of(azure, identity), KeyVault)
    hashicorp = settings(secrets_provider="vault", vault_addr="https://vault", vault_role="shop")
    assert isinstance(store_of(hashicorp, identity), Vault)


@pytest.mark.parametrize("provider", ["keyvault", "vault"])
def test_a_store_without_an_address_is_refused(provider: str) -> None:
    with pytest.raises(ValueError, match=f"SECRETS_PROVIDER={provider} needs"):
        store_of(settings(secrets_provider=provider), Identity())
