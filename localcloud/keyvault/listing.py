"""Pages of a list: how many, from where, and the link to the next."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

from starlette.requests import Request

from localcloud.keyvault.errors import bad_parameter

LARGEST_PAGE = 25


@dataclass(frozen=True)
class Page:
    """What a request asks for. `after` is where the last page ended; "" begins."""

    size: int
    after: str
    api_version: str
    given_size: str | None

    @classmethod
    def of(cls, request: Request) -> Self:
        """The page that the query asks for. VaultError 400."""
        given = request.query_params.get("maxresults")
        if given is not None and not (given.isascii() and given.isdecimal()):
            raise bad_parameter("maxresults must be a number.")
        size = LARGEST_PAGE if given is None else int(given)
        if not 1 <= size <= LARGEST_PAGE:
            raise bad_parameter(f"maxresults must be between 1 and {LARGEST_PAGE}.")
        after = _opened(request.query_params.get("$skiptoken", ""))
        return cls(size, after, request.query_params["api-version"], given)

    @property
    def place(self) -> int:
        """`after` as a number. VaultError 400."""
        if self.after and not (self.after.isascii() and self.after.isdecimal()):
            raise bad_parameter("The skip token is malformed.")
        return int(self.after or 0)


def page_of(shown: Sequence[tuple[str, dict[str, Any]]], page: Page, url: str) -> dict[str, Any]:
    """The JSON of one page; `shown` has one more than fits when there is another page."""
    items = shown[: page.size]
    following = None
    if len(shown) > page.size:
        query = {"api-version": page.api_version, "$skiptoken": _sealed(items[-1][0])}
        if page.given_size is not None:
            query["maxresults"] = page.given_size
        following = f"{url}?{urlencode(query)}"
    return {"value": [item for _, item in items], "nextLink": following}


def _sealed(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).rstrip(b"=").decode()


def _opened(token: str) -> str:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError) as damage:
        raise bad_parameter("The skip token is malformed.") from damage
