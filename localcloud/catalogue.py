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


def load_when_empty(functions: str, identity: str) -> str:
    """Start an ERP synchronisation unless there are products, and wait for its end.

    Returns what was done. CatalogueError when the run fails or takes too long.
    """
    with httpx.Client(timeout=30, trust_env=False) as client:
        token = sign_in(client, identity, "ada")
        client.headers["Authorization"] = f"Bearer {token}"
        products = f"{functions}/api/v1/products"
        if _json(client.get(products, params={"limit": 1}))["items"]:
            return "already loaded"
        started = _json(client.post(f"{products}/erp-sync", headers={"Idempotency-Key": "demo"}))
        return _await_end(client, f"{products}/erp-sync", started["id"])


def _await_end(client: httpx.Client, runs: str, run_id: str) -> str:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        items = _json(client.get(runs))["items"]
        run = next((item for item in items if item["id"] == run_id), None)
        if run and run["status"] == "succeeded":
            return "loaded"
        if run and run["status"] == "failed":
            raise CatalogueError(f"the ERP synchronisation failed: {run}")
        time.sleep(_POLL_S)
    raise CatalogueError(f"the ERP synchronisation did not end within {WAIT_S:g} s")


def _json(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise CatalogueError(
            f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
        )
    return answer.json()
