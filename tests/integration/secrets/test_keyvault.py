"""Secrets of an Azure Key Vault, read through Microsoft's SDK with a managed identity."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator

import pytest

from shared.credentials import Identity
from shared.secrets import Secrets, SecretUnavailable, StoreAway
from shared.secrets.keyvault import KeyVault
from shared.secrets.secret import SecretMissing
from tests.integration.secrets.conftest import KeyVaultPart

pytestmark = pytest.mark.usefixtures("as_platform")


@contextlib.asynccontextmanager
async def reading(part: KeyVaultPart, *, ca_file: str | None = None) -> AsyncIterator[KeyVault]:
    identity = Identity()
    store = KeyVault(part.url, identity, ca_file=ca_file or part.ca_file)
    yield store
    await store.close()
    await identity.close()


async def test_the_latest_value_is_read(vault_part: KeyVaultPart) -> None:
    vault_part.tend("set", "read", "--value", "first")
    async with reading(vault_part) as store:
        assert await store.fetch("read") == "first"
        vault_part.tend("set", "read", "--value", "second")
        assert await store.fetch("read") == "second"


async def test_a_store_that_was_closed_opens_again(vault_part: KeyVaultPart) -> None:
    vault_part.tend("set", "reopened", "--value", "value")
    async with reading(vault_part) as store:
        assert await store.fetch("reopened") == "value"
        await store.close()
        assert await store.fetch("reopened") == "value"


async def test_many_read_at_once(vault_part: KeyVaultPart) -> None:
    vault_part.tend("set", "shared", "--value", "value")
    async with reading(vault_part) as store:
        assert await asyncio.gather(*(store.fetch("shared") for _ in range(10))) == ["value"] * 10


async def test_a_secret_that_is_not_there_or_disabled_is_missing(vault_part: KeyVaultPart) -> None:
    vault_part.tend("set", "switched", "--value", "value")
    vault_part.tend("disable", "switched")
    async with reading(vault_part) as store:
        with pytest.raises(SecretMissing, match="does not hold it"):
            await store.fetch("never-there")
        with pytest.raises(SecretMissing, match="holds it disabled"):
            await store.fetch("switched")


async def test_an_expired_secret_is_used_and_said(
    vault_part: KeyVaultPart, caplog: pytest.LogCaptureFixture
) -> None:
    vault_part.tend("set", "expired", "--value", "value", "--expires", "2026-01-01")
    async with reading(vault_part) as store:
        with caplog.at_level(logging.WARNING):
            assert await store.fetch("expired") == "value"
    assert "secret expired has expired: rotate it" in caplog.messages


async def test_an_identity_without_rights_is_told_nothing(
    vault_part: KeyVaultPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault_part.tend("set", "read", "--value", "value")
    monkeypatch.setenv("IDENTITY_HEADER", "local-notifier-identity-header")
    async with reading(vault_part) as store:
        with pytest.raises(StoreAway, match="Key Vault: status 403"):
            await store.fetch("read")


async def test_an_identity_that_is_refused_is_no_way_in(
    vault_part: KeyVaultPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "somebody-else")
    async with reading(vault_part) as store:
        with pytest.raises(StoreAway, match="Key Vault: "):
            await store.fetch("read")


async def test_a_vault_of_an_unknown_authority_is_not_believed(vault_part: KeyVaultPart) -> None:
    public = ssl.get_default_verify_paths().cafile
    assert public is not None
    async with reading(vault_part, ca_file=public) as store:
        with pytest.raises(StoreAway, match="Key Vault: ServiceRequestError"):
            await store.fetch("read")


async def test_the_value_is_kept_while_the_vault_is_away(vault_part: KeyVaultPart) -> None:
    vault_part.tend("set", "kept", "--value", "first")
    now = [0.0]
    async with reading(vault_part) as store:
        secrets = Secrets(store, ttl_s=300, clock=lambda: now[0])
        first = await secrets.value("kept")
        vault_part.kill()
        try:
            now[0] += 300
            assert await secrets.value("kept") == first
            with pytest.raises(SecretUnavailable):
                await secrets.value("never-read")
        finally:
            vault_part.start()
        vault_part.tend("set", "kept", "--value", "second")
        now[0] += 5
        assert (await secrets.value("kept")).reveal() == "second"


async def test_no_value_and_no_token_is_in_the_log_at_any_level(
    vault_part: KeyVaultPart, caplog: pytest.LogCaptureFixture
) -> None:
    vault_part.tend("set", "logged", "--value", "a-secret-value")
    with caplog.at_level(logging.DEBUG):
        async with reading(vault_part) as store:
            assert await store.fetch("logged") == "a-secret-value"
    assert "a-secret-value" not in caplog.text
    assert "eyJ" not in caplog.text
