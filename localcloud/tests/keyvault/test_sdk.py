"""The unmodified SDKs work with secrets as in Azure."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.identity import ManagedIdentityCredential
from azure.identity.aio import ManagedIdentityCredential as AsyncManagedIdentityCredential
from azure.keyvault.secrets import SecretClient
from azure.keyvault.secrets.aio import SecretClient as AsyncSecretClient

from localcloud.tests.keyvault.conftest import Bearer, Here

ABOUT = "learn:azure/key-vault/secrets/about-secrets"
SOFT_DELETE = "learn:azure/key-vault/general/soft-delete-overview"
RBAC = "learn:azure/key-vault/general/rbac-guide"
CHALLENGE = "learn:azure/key-vault/general/authentication-requests-and-responses"


@pytest.mark.conforms(
    "Sign-in to a vault",
    "A request without a token is answered 401 with a challenge that names the authority and the"
    " resource; the SDKs sign in by it.",
    source=CHALLENGE,
)
@pytest.mark.usefixtures("as_platform")
def test_a_managed_identity_reads_a_secret(vault: Here, officer: SecretClient) -> None:
    written = officer.set_secret("read-by-platform", "a value")
    with (
        ManagedIdentityCredential() as credential,
        SecretClient(vault.url, credential, connection_verify=vault.ca_file) as client,
    ):
        found = client.get_secret("read-by-platform")
    assert (found.name, found.value) == ("read-by-platform", "a value")
    assert found.id == written.id
    assert found.properties.vault_url == vault.url


@pytest.mark.usefixtures("as_platform")
async def test_a_managed_identity_reads_a_secret_without_blocking(
    vault: Here, officer: SecretClient
) -> None:
    officer.set_secret("read-by-platform", "another value")
    async with (
        AsyncManagedIdentityCredential() as credential,
        AsyncSecretClient(vault.url, credential, connection_verify=vault.ca_file) as client,
    ):
        assert (await client.get_secret("read-by-platform")).value == "another value"
        names = [one.name async for one in client.list_properties_of_secrets()]
    assert "read-by-platform" in names


def test_the_challenge_names_a_resource_that_the_sdk_verifies(vault: Here) -> None:
    credential = Bearer(vault.token(resource=vault.resource))
    with SecretClient(vault.url, credential, connection_verify=vault.ca_file) as client:
        list(client.list_properties_of_secrets())
    assert credential.asked == [f"{vault.resource}/.default"]


def test_who_does_not_trust_the_authority_does_not_get_in(vault: Here) -> None:
    with (
        SecretClient(vault.url, Bearer("no matter"), retry_total=0) as client,
        pytest.raises(ServiceRequestError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.get_secret("any")


@pytest.mark.conforms(
    "Authorisation",
    "Key Vault Secrets User reads values and metadata of secrets, and writes nothing.",
    source=RBAC,
)
@pytest.mark.usefixtures("as_platform")
def test_a_reader_writes_nothing(vault: Here, officer: SecretClient) -> None:
    officer.set_secret("not-for-writing", "first")
    with (
        ManagedIdentityCredential() as credential,
        SecretClient(vault.url, credential, connection_verify=vault.ca_file) as client,
    ):
        for attempt in (
            lambda: client.set_secret("not-for-writing", "second"),
            lambda: client.update_secret_properties("not-for-writing", enabled=False),
            lambda: client.begin_delete_secret("not-for-writing"),
            lambda: client.backup_secret("not-for-writing"),
            lambda: client.restore_secret_backup(b"none"),
            lambda: client.begin_recover_deleted_secret("not-for-writing"),
            lambda: client.purge_deleted_secret("not-for-writing"),
        ):
            with pytest.raises(HttpResponseError) as refused:
                attempt()
            assert refused.value.status_code == 403
            assert refused.value.error is not None
            assert refused.value.error.innererror == {"code": "ForbiddenByRbac"}
        assert [one.name for one in client.list_properties_of_secret_versions("not-for-writing")]
    assert officer.get_secret("not-for-writing").value == "first"
    assert len(list(officer.list_properties_of_secret_versions("not-for-writing"))) == 1


def test_whoever_has_no_role_reads_nothing(vault: Here) -> None:
    credential = Bearer(vault.token(resource=vault.resource, roles=None))
    with (
        SecretClient(vault.url, credential, connection_verify=vault.ca_file) as client,
        pytest.raises(HttpResponseError, match="ForbiddenByRbac"),
    ):
        client.get_secret("any")


@pytest.mark.conforms(
    "Secrets",
    "Setting a secret that is there makes a new version; reading without a version gives the"
    " latest, older versions can still be read.",
    source="learn:rest/api/keyvault/secrets/set-secret/set-secret",
)
def test_each_value_is_a_version_and_the_latest_is_read(officer: SecretClient) -> None:
    first = officer.set_secret("rotated", "first", content_type="text/plain", tags={"for": "all"})
    second = officer.set_secret("rotated", "second")

    assert officer.get_secret("rotated").value == "second"
    assert officer.get_secret("ROTATED", first.properties.version).value == "first"
    assert first.properties.content_type == "text/plain"
    assert first.properties.tags == {"for": "all"}
    assert second.properties.tags is None
    versions = list(officer.list_properties_of_secret_versions("rotated"))
    assert {one.version for one in versions} == {
        first.properties.version,
        second.properties.version,
    }
    assert {one.enabled for one in versions} == {True}
    assert first.properties.recovery_level == "Recoverable+Purgeable"
    assert first.properties.recoverable_days == 90


def test_lists_are_read_page_by_page(officer: SecretClient) -> None:
    names = [f"listed-{number:02}" for number in range(27)]
    for name in names:
        officer.set_secret(name, name)
    for number in range(26):
        officer.set_secret("listed-00", str(number))

    listed = officer.list_properties_of_secrets()
    assert [one.name for one in listed if one.name and one.name.startswith("listed-")] == names
    pages = officer.list_properties_of_secret_versions("listed-00", max_page_size=10).by_page()
    assert [len(list(page)) for page in pages] == [10, 10, 7]


@pytest.mark.conforms(
    "Secrets",
    "A disabled secret cannot be read: 403 Forbidden, SecretDisabled.",
    source=ABOUT,
)
def test_a_disabled_version_is_not_read_until_it_is_enabled(officer: SecretClient) -> None:
    version = officer.set_secret("switched", "value").properties.version
    officer.update_secret_properties("switched", enabled=False)

    with pytest.raises(HttpResponseError) as refused:
        officer.get_secret("switched")
    assert refused.value.status_code == 403
    assert refused.value.error is not None
    assert refused.value.error.innererror == {"code": "SecretDisabled"}
    assert [one.enabled for one in officer.list_properties_of_secret_versions("switched")] == [
        False
    ]

    officer.update_secret_properties("switched", version, enabled=True)
    assert officer.get_secret("switched").value == "value"


@pytest.mark.conforms(
    "Secrets",
    "A secret's get operation works for not-yet-valid and expired secrets.",
    source=ABOUT,
)
def test_what_has_expired_or_is_not_yet_valid_is_read_all_the_same(officer: SecretClient) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    long_ago, soon = now - timedelta(days=2), now + timedelta(days=2)
    officer.set_secret("timed", "value", not_before=long_ago, expires_on=long_ago)
    found = officer.get_secret("timed")
    assert (found.value, found.properties.expires_on) == ("value", long_ago)

    changed = officer.update_secret_properties(
        "timed", not_before=soon, expires_on=soon, content_type="key", tags={"a": "b"}
    )
    assert (changed.not_before, changed.expires_on) == (soon, soon)
    assert (changed.content_type, changed.tags) == ("key", {"a": "b"})
    assert officer.get_secret("timed").value == "value"


@pytest.mark.conforms(
    "Soft delete",
    "A deleted secret is gone for readers and its name is taken, until it is recovered with all its"
    " versions or purged.",
    source=SOFT_DELETE,
)
def test_a_deleted_secret_can_be_recovered(officer: SecretClient) -> None:
    first = officer.set_secret("deleted", "first")
    officer.set_secret("deleted", "second")
    deleted = officer.begin_delete_secret("deleted").result()
    assert deleted.name == "deleted"
    assert deleted.recovery_id == f"{officer.vault_url}/deletedsecrets/deleted"
    assert deleted.scheduled_purge_date is not None
    assert deleted.deleted_date is not None
    assert deleted.scheduled_purge_date - deleted.deleted_date == timedelta(days=90)

    with pytest.raises(ResourceNotFoundError):
        officer.get_secret("deleted")
    with pytest.raises(ResourceExistsError) as refused:
        officer.set_secret("deleted", "third")
    assert refused.value.error is not None
    assert refused.value.error.innererror == {"code": "ObjectIsDeletedButRecoverable"}
    assert "deleted" not in [one.name for one in officer.list_properties_of_secrets()]
    assert "deleted" in [one.name for one in officer.list_deleted_secrets()]
    assert officer.get_deleted_secret("deleted").id == deleted.id

    officer.begin_recover_deleted_secret("deleted").wait()
    assert officer.get_secret("deleted").value == "second"
    assert officer.get_secret("deleted", first.properties.version).value == "first"
    with pytest.raises(ResourceNotFoundError):
        officer.get_deleted_secret("deleted")


def test_a_purged_secret_is_gone_for_good_and_its_name_is_free(officer: SecretClient) -> None:
    old = officer.set_secret("purged", "first").properties.version
    officer.begin_delete_secret("purged").wait()
    officer.purge_deleted_secret("purged")

    with pytest.raises(ResourceNotFoundError):
        officer.get_deleted_secret("purged")
    with pytest.raises(ResourceNotFoundError):
        officer.begin_recover_deleted_secret("purged")
    officer.set_secret("purged", "second")
    with pytest.raises(ResourceNotFoundError):
        officer.get_secret("purged", old)
    assert officer.get_secret("purged").value == "second"


def test_a_backup_brings_all_versions_back(officer: SecretClient) -> None:
    first = officer.set_secret("kept", "first", tags={"a": "b"})
    officer.set_secret("kept", "second")
    backup = officer.backup_secret("kept")
    assert b"first" not in backup
    with pytest.raises(ResourceExistsError):
        officer.restore_secret_backup(backup)
    officer.begin_delete_secret("kept").wait()
    officer.purge_deleted_secret("kept")

    assert officer.restore_secret_backup(backup).name == "kept"
    assert officer.get_secret("kept").value == "second"
    assert officer.get_secret("kept", first.properties.version).properties.tags == {"a": "b"}
    with pytest.raises(HttpResponseError, match="malformed"):
        officer.restore_secret_backup(b"another vault's")
