"""Refusals in Key Vault's words.

Codes and messages are those of the service; `inner` is the code that tells cases apart.
"""

from typing import Any


class VaultError(Exception):
    """A refused request: HTTP status, Key Vault's code, and a sentence."""

    def __init__(self, status: int, code: str, message: str, *, inner: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.inner = status, code, message, inner

    def body(self) -> dict[str, Any]:
        """The JSON that Key Vault answers with."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.inner is not None:
            error["innererror"] = {"code": self.inner}
        return {"error": error}


def bad_parameter(message: str) -> VaultError:
    return VaultError(400, "BadParameter", message)


def not_found(name: str, *, deleted: bool = False) -> VaultError:
    if deleted:
        return VaultError(404, "SecretNotFound", f"Deleted Secret not found: {name}")
    return VaultError(
        404,
        "SecretNotFound",
        f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted"
        " this secret you may be able to recover it using the correct recovery command. For help"
        " resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182",
    )


def disabled() -> VaultError:
    return VaultError(
        403,
        "Forbidden",
        "Operation get is not allowed on a disabled secret.",
        inner="SecretDisabled",
    )


def deleted_but_recoverable(name: str) -> VaultError:
    return VaultError(
        409,
        "Conflict",
        f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be"
        " reused; in this state, the secret can only be recovered or purged.",
        inner="ObjectIsDeletedButRecoverable",
    )


def exists(name: str) -> VaultError:
    return VaultError(
        409, "Conflict", f"The secret {name} already exists.", inner="SecretAlreadyExists"
    )


def forbidden(action: str, oid: str) -> VaultError:
    return VaultError(
        403,
        "Forbidden",
        "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny"
        " assignments or role definitions were changed recently, please observe propagation"
        f" time.\r\nCaller: oid={oid}\r\nAction: 'Microsoft.KeyVault/vaults/secrets/{action}"
        "/action'\r\nAssignment: (not found)",
        inner="ForbiddenByRbac",
    )
