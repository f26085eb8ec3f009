"""Settings that refer to Key Vault reach the app as plain values, as on App Service."""

import json
from pathlib import Path

import pytest
from azure.keyvault.secrets import SecretClient

from localcloud.functions.errors import StartRefused
from localcloud.functions.references import References
from localcloud.functions.vault_references import Reference, Status, Unresolved, parsed
from localcloud.identity.directory import WORKLOADS
from localcloud.tests.functions.running_host import RunningHost, eventually, running
from localcloud.tests.keyvault.conftest import Here

ABOUT = "learn:azure/app-service/app-service-key-vault-references"
STATUSES = "learn:python/api/azure-mgmt-web/azure.mgmt.web.models.apikvreferenceproperties"
VERSION = "0123456789abcdef0123456789abcdef"
LATEST = "@Microsoft.KeyVault(VaultName=shop;SecretName={})"

APP = """
import json
import os
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

@app.route("settings")
def settings(req: func.HttpRequest) -> str:
    names = ("PLAIN", "LATEST", "PINNED", "MISSING", "MALFORMED")
    return json.dumps({name: os.environ.get(name) for name in names})
"""


@pytest.fixture
def environ(vault: Here) -> dict[str, str]:
    """The settings of a function app with an identity, on this machine."""
    return {
        "IDENTITY_ENDPOINT": f"{vault.identity.url}/msi/token",
        "IDENTITY_HEADER": WORKLOADS["platform"].header,
        "LOCALCLOUD_KEYVAULT_URL": vault.url,
        "LOCALCLOUD_CA_FILE": vault.ca_file,
    }


@pytest.fixture
def as_app(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The same, and the process has them: the credential reads its identity there."""
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.setenv(name, environ[name])
    return environ


@pytest.mark.conforms(
    "Key Vault references",
    "SecretUri, with or without a version, or VaultName, SecretName and SecretVersion name the"
    " secret.",
    source=ABOUT,
)
@pytest.mark.parametrize(
    ("inside", "reference"),
    [
        (
            "SecretUri=https://shop.vault.azure.net/secrets/key",
            Reference("https://shop.vault.azure.net", "key"),
        ),
        (
            "SecretUri=https://shop.vault.azure.net/secrets/key/",
            Reference("https://shop.vault.azure.net", "key"),
        ),
        (
            f"SecretUri=https://127.0.0.1:7083/secrets/key/{VERSION}",
            Reference("https://127.0.0.1:7083", "key", VERSION),
        ),
        ("VaultName=shop;SecretName=key", Reference("https://shop.vault.azure.net", "key")),
        (
            f"VaultName=shop; SecretName=key; SecretVersion={VERSION};",
            Reference("https://shop.vault.azure.net", "key", VERSION),
        ),
        (
            "vaultname=shop;secretname=key;secretversion=",
            Reference("https://shop.vault.azure.net", "key"),
        ),
    ],
)
def test_a_reference_names_a_secret(inside: str, reference: Reference) -> None:
    assert parsed(f"@Microsoft.KeyVault({inside})") == reference


@pytest.mark.parametrize("text", ["", "plain", "x@Microsoft.KeyVault(VaultName=a;SecretName=b)"])
def test_a_plain_value_is_none(text: str) -> None:
    assert parsed(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "@Microsoft.KeyVault(",
        "@Microsoft.KeyVault()",
        "@Microsoft.KeyVault(VaultName=shop;SecretName=key",
        "@Microsoft.KeyVault(VaultName=shop)",
        "@Microsoft.KeyVault(SecretName=key)",
        "@Microsoft.KeyVault(VaultName=shop;SecretName=a_b)",
        "@Microsoft.KeyVault(VaultName=sh.op;SecretName=key)",
        "@Microsoft.KeyVault(VaultName=shop;SecretName=key;SecretVersion=latest)",
        "@Microsoft.KeyVault(VaultName=shop;SecretName=key;Colour=red)",
        "@Microsoft.KeyVault(VaultName=shop;VaultName=shop;SecretName=key)",
        "@Microsoft.KeyVault(VaultName)",
        "@Microsoft.KeyVault(SecretUri=http://shop.vault.azure.net/secrets/key)",
        "@Microsoft.KeyVault(SecretUri=https://shop.vault.azure.net/keys/key)",
        "@Microsoft.KeyVault(SecretUri=https://shop.vault.azure.net/secrets/)",
        "@Microsoft.KeyVault(SecretUri=https://me@shop.vault.azure.net/secrets/key)",
        "@Microsoft.KeyVault(SecretUri=https://shop:port/secrets/key)",
        "@Microsoft.KeyVault(SecretUri=https://shop/secrets/key;VaultName=shop)",
        "@Microsoft.KeyVault(SecretUri=https://shop/secrets/key/1/2)",
    ],
)
def test_a_malformed_reference_has_invalid_syntax(text: str) -> None:
    with pytest.raises(Unresolved) as reason:
        parsed(text)
    assert reason.value.status is Status.INVALID_SYNTAX


@pytest.mark.conforms(
    "Key Vault references",
    "A reference that is not resolved reaches the app as it is; its status says why.",
    source=STATUSES,
)
def test_each_failure_has_its_status_and_leaves_the_setting(
    vault: Here, officer: SecretClient, as_app: dict[str, str]
) -> None:
    officer.set_secret("switched-off", "value", enabled=False)
    officer.set_secret("referred", "value")
    references = {
        "MISSING": LATEST.format("never-there"),
        "NO_VERSION": f"@Microsoft.KeyVault(SecretUri={vault.url}/secrets/referred/{VERSION})",
        "OFF": LATEST.format("switched-off"),
        "MALFORMED": "@Microsoft.KeyVault(nonsense)",
        "NOWHERE": "@Microsoft.KeyVault(SecretUri=https://127.0.0.1:9/secrets/key)",
    }
    environ = as_app | references | {"GOOD": LATEST.format("referred")}
    assert References(environ).resolve() == {
        "MISSING": Status.SECRET_NOT_FOUND,
        "NO_VERSION": Status.VERSION_NOT_FOUND,
        "OFF": Status.OTHER,
        "MALFORMED": Status.INVALID_SYNTAX,
        "NOWHERE": Status.VAULT_NOT_FOUND,
        "GOOD": Status.RESOLVED,
    }
    assert environ == as_app | references | {"GOOD": "value"}


def test_an_app_without_an_identity_resolves_nothing(as_app: dict[str, str]) -> None:
    environ = as_app | {"IDENTITY_HEADER": "", "KEY": LATEST.format("referred")}
    assert References(environ).resolve() == {"KEY": Status.MSI_NOT_ENABLED}


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (WORKLOADS["notifier"].header, Status.ACCESS_DENIED),
        ("nobody's", Status.UNAUTHORISED),
    ],
)
def test_an_identity_without_rights_is_denied(
    officer: SecretClient,
    as_app: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    header: str,
    status: Status,
) -> None:
    officer.set_secret("referred", "value")
    monkeypatch.setenv("IDENTITY_HEADER", header)
    environ = as_app | {"IDENTITY_HEADER": header, "KEY": LATEST.format("referred")}
    assert References(environ).resolve() == {"KEY": status}


def test_settings_without_references_ask_nobody() -> None:
    environ = {"PLAIN": "value"}
    assert References(environ).resolve() == {}
    assert environ == {"PLAIN": "value"}


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "86401"])
def test_looking_again_is_a_matter_of_at_most_a_day(text: str) -> None:
    with pytest.raises(StartRefused, match="LOCALCLOUD_REFERENCES_REFETCH_S"):
        References({"LOCALCLOUD_REFERENCES_REFETCH_S": text})


def settings_of(host: RunningHost) -> dict[str, str]:
    found: dict[str, str] = host.http.get("/api/settings").json()
    return found


@pytest.mark.conforms(
    "Key Vault references",
    "A reference without a version is fetched again within 24 hours; the app is restarted with the"
    " new value.",
    source=ABOUT,
)
def test_the_app_sees_values_and_after_a_rotation_the_new_ones(
    tmp_path: Path, officer: SecretClient, environ: dict[str, str]
) -> None:
    root = tmp_path / "app"
    root.mkdir()
    (root / "function_app.py").write_text(APP)
    (root / "host.json").write_text(json.dumps({"version": "2.0"}))
    pinned = officer.set_secret("app-key", "first").properties.version
    local = {
        "IsEncrypted": False,
        "Values": {
            "PLAIN": "plain",
            "LATEST": LATEST.format("app-key"),
            "PINNED": LATEST.format(f"app-key;SecretVersion={pinned}"),
            "MISSING": LATEST.format("never-there"),
            "LOCALCLOUD_REFERENCES_REFETCH_S": "0.2",
        },
    }
    (root / "local.settings.json").write_text(json.dumps(local))
    with running(root, tmp_path / "state", env=environ) as host:
        assert settings_of(host) == {
            "PLAIN": "plain",
            "LATEST": "first",
            "PINNED": "first",
            "MISSING": LATEST.format("never-there"),
            "MALFORMED": None,
        }
        assert (
            "The setting 'MISSING' is a Key Vault reference that is not resolved: SecretNotFound"
            in host.log
        )
        officer.set_secret("app-key", "second-value")
        eventually(lambda: settings_of(host)["LATEST"] == "second-value", within_s=30)
        assert settings_of(host)["PINNED"] == "first"
        assert "New values of Key Vault references: LATEST" in host.log
        assert "second-value" not in host.log
