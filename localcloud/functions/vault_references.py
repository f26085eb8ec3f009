"""What a Key Vault reference looks like, and what App Service says of one.

https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

BEGIN, END = "@Microsoft.KeyVault(", ")"
AZURE_SUFFIX = ".vault.azure.net"
_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
_VERSION = re.compile(r"[0-9a-fA-F]{32}")
_PARTS = frozenset({"secreturi", "vaultname", "secretname", "secretversion"})


class Status(StrEnum):
    """What App Service says of a reference (ApiKVReference's `status`)."""

    RESOLVED = "Resolved"
    INVALID_SYNTAX = "InvalidSyntax"
    MSI_NOT_ENABLED = "MSINotEnabled"
    VAULT_NOT_FOUND = "VaultNotFound"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a status
    VERSION_NOT_FOUND = "SecretVersionNotFound"
    ACCESS_DENIED = "AccessToKeyVaultDenied"
    TIMED_OUT = "FetchTimedOut"
    UNAUTHORISED = "UnauthorizedClient"
    OTHER = "OtherReasons"


class Unresolved(Exception):
    """A reference without a value; the text says more than the status, and never a value."""

    def __init__(self, status: Status, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Reference:
    """Which secret a setting refers to; without a version the latest."""

    vault: str
    secret: str
    version: str | None = None


def parsed(text: str) -> Reference | None:
    """The reference that a setting's value is; None when it is a plain value.

    Raises Unresolved, InvalidSyntax, for what begins like one and is none.
    """
    if not text.startswith(BEGIN):
        return None
    if not text.endswith(END):
        raise Unresolved(Status.INVALID_SYNTAX, "the closing parenthesis is missing")
    parts = dict(_parts(text[len(BEGIN) : -len(END)]))
    if "secreturi" in parts:
        if len(parts) > 1:
            raise Unresolved(Status.INVALID_SYNTAX, "SecretUri stands alone")
        return _by_uri(parts["secreturi"])
    vault, secret = parts.get("vaultname", ""), parts.get("secretname", "")
    version = parts.get("secretversion") or None
    if not _NAME.fullmatch(vault):
        raise Unresolved(Status.INVALID_SYNTAX, "SecretUri or VaultName is needed")
    return _checked(f"https://{vault}{AZURE_SUFFIX}", secret, version)


def _parts(inside: str) -> Iterator[tuple[str, str]]:
    seen = set[str]()
    for part in filter(None, inside.split(";")):
        name, equals, value = part.partition("=")
        key = name.strip().lower()
        if not equals or key not in _PARTS or key in seen:
            raise Unresolved(
                Status.INVALID_SYNTAX,
                "SecretUri, or VaultName, SecretName and SecretVersion, each once",
            )
        seen.add(key)
        yield key, value.strip()


def _by_uri(uri: str) -> Reference:
    try:
        split = urlsplit(uri)
        port = split.port
    except ValueError as fault:
        raise Unresolved(Status.INVALID_SYNTAX, "SecretUri is no URL") from fault
    kind, _, path = split.path.strip("/").partition("/")
    name, _, version = path.partition("/")
    if split.scheme != "https" or not split.hostname or split.username or kind != "secrets":
        raise Unresolved(Status.INVALID_SYNTAX, "SecretUri is https://<vault>/secrets/<name>")
    authority = split.hostname if port is None else f"{split.hostname}:{port}"
    return _checked(f"https://{authority}", name, version or None)


def _checked(vault: str, secret: str, version: str | None) -> Reference:
    if not _NAME.fullmatch(secret):
        raise Unresolved(Status.INVALID_SYNTAX, "the secret's name is missing or is none")
    if version is not None and not _VERSION.fullmatch(version):
        raise Unresolved(Status.INVALID_SYNTAX, "the secret's version is none")
    return Reference(vault, secret, version)
