"""Fills an empty shop through the product's own ERP synchronisation, as a demo employee."""

import time
from typing import Any

import httpx

WAIT_S = 60.0
_POLL_S = 0.2


class CatalogueError(Exception):
    """The demo catalogue did not load; the message gives the platform's own reason."""


def sign_in(client: httpx.Client, identity: str, person: str) -> str:
    """An access token of a demo person for the portal that this person uses."""
    people = _json(client.get(f"{identity}/people"))["people"]
    known = next(entry for entry in people if entry["person"] == person)
    answer = client.post(
        f"{identity}{known['token_path']}",
        data={
            "grant_type": "password",
            "client_id": known["client_id"],
            "username": known["username"],
            "password": known["password"],
            "scope": known["scope"],
        },
    )
    token: str = _json(answer)["access_token"]
    return token


def load_when_empty(api: str, identity: str) -> str:
    """Synchronise with the ERP unless that was ever done, and wait for the end of the run.

    `api` is the base of the employees' API. Returns what was done. A run that a stop cut off is
    taken up again. CatalogueError when the run fails or takes too long.
    """
    runs = f"{api}/products/erp-sync"
    with httpx.Client(timeout=30, trust_env=False) as client:
        try:
            client.headers["Authorization"] = f"Bearer {sign_in(client, identity, 'ada')}"
            if any(run["status"] == "succeeded" for run in _json(client.get(runs))["items"]):
                return "already loaded"
            run = _json(client.post(runs))
            return _await_end(client, f"{runs}/{run['id']}")
        except httpx.TransportError as broken:
            raise CatalogueError(f"the platform does not answer: {broken}") from broken


def _await_end(client: httpx.Client, address: str) -> str:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        run = _json(client.get(address))
        if run["status"] == "succeeded":
            return f"loaded {run['created']} products"
        if run["status"] == "failed":
            raise CatalogueError(f"the ERP synchronisation failed: {run['failure']}")
        time.sleep(_POLL_S)
    raise CatalogueError(f"the ERP synchronisation did not end within {WAIT_S:g} s")


def _json(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise CatalogueError(
            f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
        )
    return answer.json()
