"""A partner's HTTP API as its gateway calls it: pooled connections, time limits, one kind of fault.

aiohttp and not httpx: a small exchange of JSON costs an eighth of the CPU.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

CONNECT_TIMEOUT_S = 2.0


class NoAnswer(Exception):
    """The partner was not reached, broke off or took too long; it may or may not have acted.

    The text is the kind of fault, without any value.
    """


@dataclass(frozen=True, slots=True)
class Answer:
    """What the partner said, read to its end."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """2xx."""
        return self.status in range(200, 300)

    @property
    def is_client_error(self) -> bool:
        """4xx."""
        return self.status in range(400, 500)

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises ValueError if it is none."""
        value = json.loads(self.body)
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 - as for text that is no JSON
        return value


class Partner:
    """Calls to `base_url`; one pool per process, opened in the loop that uses it first.

    `timeout_s` is how long the partner may be silent.
    """

    def __init__(self, base_url: str, *, timeout_s: float) -> None:
        self._base_url, self._timeout_s = base_url.rstrip("/"), timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer, whatever its status; redirects are not followed. Raises NoAnswer.

        `body` goes as JSON, `form` as a form.
        """
        try:
            async with self._opened().request(
                method,
                self._base_url + path,
                headers=headers,
                json=body,
                data=form,
                allow_redirects=False,
            ) as answer:
                return Answer(answer.status, await answer.read())
        except (aiohttp.ClientError, TimeoutError) as fault:
            raise NoAnswer(type(fault).__name__) from fault

    async def close(self) -> None:
        """Close every connection; the next call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=self._timeout_s
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            self._loop = loop
        return self._session
