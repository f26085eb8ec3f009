"""What a secret is, and what may be written into one."""

import re
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from localcloud.keyvault.errors import bad_parameter

RECOVERABLE_DAYS = 90
"""How long a deleted secret can be recovered; Azure's default."""
VALUE_LIMIT = 25_600
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_VERSION = re.compile(r"[0-9a-f]{32}")

Tag = Annotated[str, StringConstraints(max_length=256)]
Seconds = Annotated[int, Field(ge=0, lt=2**40)]


class Attributes(BaseModel):
    """Attributes that a caller sets; what Key Vault manages itself is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)
    enabled: bool | None = None
    nbf: Seconds | None = None
    exp: Seconds | None = None


class Change(BaseModel):
    """What a version's properties become; None leaves one as it is."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, populate_by_name=True)
    content_type: Annotated[str | None, Field(alias="contentType", max_length=255)] = None
    attributes: Attributes = Attributes()
    tags: Annotated[dict[Tag, Tag] | None, Field(max_length=15)] = None

    @classmethod
    def read(cls, body: bytes) -> Self:
        """The change in a request's body. VaultError 400 naming the first field that is wrong."""
        try:
            return cls.model_validate_json(body or b"{}")
        except ValidationError as invalid:
            first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            raise bad_parameter(f"Property {where} has an invalid value: {first['msg']}") from None


class NewVersion(Change):
    """A new version of a secret."""

    value: Annotated[str, Field(max_length=VALUE_LIMIT)]


class Version(BaseModel):
    """One version of a secret, as it is kept. Times are seconds since 1970."""

    model_config = ConfigDict(frozen=True)
    name: str
    version: str
    value: str
    content_type: str | None
    tags: dict[str, str] | None
    enabled: bool
    nbf: int | None
    exp: int | None
    created: int
    updated: int

    def shown(self, vault: str, *, versioned: bool = True, value: bool = False) -> dict[str, Any]:
        """The JSON of this version at the vault's URL, with or without what is secret."""
        attributes = {
            "enabled": self.enabled,
            "nbf": self.nbf,
            "exp": self.exp,
            "created": self.created,
            "updated": self.updated,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": RECOVERABLE_DAYS,
        }
        kept = {name: given for name, given in attributes.items() if given is not None}
        path = f"{self.name}/{self.version}" if versioned else self.name
        shown: dict[str, Any] = {"id": f"{vault}/secrets/{path}", "attributes": kept}
        if value:
            shown["value"] = self.value
        if self.content_type is not None:
            shown["contentType"] = self.content_type
        if self.tags is not None:
            shown["tags"] = self.tags
        return shown


class Deleted(BaseModel):
    """A deleted secret, which can still be recovered."""

    model_config = ConfigDict(frozen=True)
    latest: Version
    deleted: int
    purged: int

    def shown(self, vault: str, *, versioned: bool = True) -> dict[str, Any]:
        """The JSON of it; never the value."""
        return self.latest.shown(vault, versioned=versioned) | {
            "recoveryId": f"{vault}/deletedsecrets/{self.latest.name}",
            "deletedDate": self.deleted,
            "scheduledPurgeDate": self.purged,
        }


def checked_name(name: str) -> str:
    """`name` if it can be a secret's. VaultError 400."""
    if not _NAME.fullmatch(name):
        raise bad_parameter(f"The request URI contains an invalid name: {name[:127]}")
    return name


def checked_version(version: str) -> str:
    """`version` if it can be one. VaultError 400."""
    if not _VERSION.fullmatch(version):
        raise bad_parameter(f"Invalid version: {version[:64]}")
    return version
