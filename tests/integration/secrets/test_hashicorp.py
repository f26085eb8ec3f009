"""Secrets of a HashiCorp Vault, read through hvac with a Kubernetes service account."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from localcloud import pki
from shared.secrets import Secrets, StoreAway
from shared.secrets.secret import SecretMissing
from shared.secrets.vault import Vault
from tests.integration.secrets.hashicorp import Hashicorp


@pytest.fixture
async def hashicorp() -> AsyncIterator[Hashicorp]:
    standin = Hashicorp()
    standin.held["platform/shipping-api-key"] = ["first"]
    yield standin
    await standin.stop()


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """Where Kubernetes puts the service account's token; it ends in a newline."""
    file = tmp_path / "token"
    file.write_text("service-account-token\n")
    return file


def renew(account: Path, token: str) -> None:
    """Give the service account another token, as Kubernetes does every hour."""
    account.write_text(token)


@pytest.fixture
async def store(hashicorp: Hashicorp, account: Path) -> AsyncIterator[Vault]:
    opened = Vault(await hashicorp.start(), "platform", ca_file=None, account_token=account)
    yield opened
    await opened.close()


async def test_one_sign_in_serves_many_reads(hashicorp: Hashicorp, store: Vault) -> None:
    reads = (store.fetch("shipping-api-key") for _ in range(5))
    assert await asyncio.gather(*reads) == ["first"] * 5
    hashicorp.held["platform/shipping-api-key"].append("second")
    assert await store.fetch("shipping-api-key") == "second"
    assert hashicorp.sign_ins == ["service-account-token"]


async def test_a_token_that_is_no_longer_good_is_replaced(
    hashicorp: Hashicorp, store: Vault, account: Path
) -> None:
    await store.fetch("shipping-api-key")
    hashicorp.tokens.clear()
    hashicorp.jwt = "next-token"
    renew(account, "next-token")
    assert await store.fetch("shipping-api-key") == "first"
    assert hashicorp.sign_ins == ["service-account-token", "next-token"]


async def test_a_policy_that_forbids_is_asked_only_twice(
    hashicorp: Hashicorp, store: Vault
) -> None:
    await store.fetch("shipping-api-key")
    hashicorp.tokens.clear()
    hashicorp.role = "another"
    with pytest.raises(StoreAway, match="Vault: Forbidden"):
        await store.fetch("shipping-api-key")
    assert len(hashicorp.sign_ins) == 2


async def test_what_is_not_there_or_deleted_is_missing(hashicorp: Hashicorp, store: Vault) -> None:
    hashicorp.held["platform/shipping-api-key"].append(None)
    for name in ("never-there", "shipping-api-key"):
        with pytest.raises(SecretMissing, match="does not hold it"):
            await store.fetch(name)


async def test_a_sealed_vault_is_away(hashicorp: Hashicorp, store: Vault) -> None:
    hashicorp.sealed = True
    with pytest.raises(StoreAway, match="Vault: VaultDown"):
        await store.fetch("shipping-api-key")
    hashicorp.sealed = False
    assert await store.fetch("shipping-api-key") == "first"


async def test_a_vault_that_is_not_there_is_away(account: Path) -> None:
    store = Vault("http://127.0.0.1:9", "platform", ca_file=None, account_token=account)
    with pytest.raises(StoreAway, match="Vault: ConnectionError"):
        await store.fetch("shipping-api-key")
    await store.close()


async def test_a_pod_without_a_service_account_reads_nothing(
    hashicorp: Hashicorp, tmp_path: Path
) -> None:
    nowhere = tmp_path / "none"
    store = Vault(await hashicorp.start(), "platform", ca_file=None, account_token=nowhere)
    with pytest.raises(StoreAway, match="No such file"):
        await store.fetch("shipping-api-key")
    assert hashicorp.sign_ins == []


async def test_a_private_authority_is_trusted_by_its_file(
    hashicorp: Hashicorp, account: Path, tmp_path: Path
) -> None:
    authority = pki.authority(tmp_path)
    certificate = authority.certificate("vault", ["127.0.0.1"])
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate.file, certificate.key)
    address = await hashicorp.start(tls)
    trusting = Vault(address, "platform", ca_file=str(authority.file), account_token=account)
    assert await trusting.fetch("shipping-api-key") == "first"
    await trusting.close()
    distrusting = Vault(address, "platform", ca_file=None, account_token=account)
    with pytest.raises(StoreAway, match="Vault: SSLError"):
        await distrusting.fetch("shipping-api-key")
    await distrusting.close()


async def test_the_value_is_kept_while_the_vault_is_sealed(
    hashicorp: Hashicorp, store: Vault
) -> None:
    now = [0.0]
    secrets = Secrets(store, ttl_s=300, clock=lambda: now[0])
    first = await secrets.value("shipping-api-key")
    hashicorp.sealed = True
    now[0] += 300
    assert await secrets.value("shipping-api-key") == first
