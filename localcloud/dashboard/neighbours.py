"""What other parts of the cloud say of themselves over HTTP: Event Grid and the mailbox."""

import asyncio
import http.client
import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

TIMEOUT_S: Final = 2.0


class Silent(Exception):
    """A part does not answer; the message says which and why, `advice` what to do.

    `absent`: the cloud has no such part.
    """

    def __init__(self, why: str, advice: str, *, absent: bool = False) -> None:
        super().__init__(why)
        self.advice, self.absent = advice, absent


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A part with an HTTP face; `base` is its address, None when the cloud has no such part."""

    part: str
    title: str
    base: str | None

    async def ask(self, path: str) -> dict[str, Any]:
        """The JSON object at a path. Raises Silent."""
        if self.base is None:
            raise Silent(
                f"This cloud has no {self.title}.",
                f"It is the part `{self.part}`: `python -m localcloud up` starts it with the rest.",
                absent=True,
            )
        try:
            return await asyncio.to_thread(_get, self.base, path)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Silent(
                f"{self.title} does not answer: {error}",
                f"`python -m localcloud logs {self.part}` may have the reason; a part that ended is"
                " started again within seconds.",
            ) from error


def _get(base: str, path: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise ValueError(f"GET {path} answered {answer.status}")
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError(f"GET {path} answered no object")  # noqa: TRY004 - a broken answer
    return found
