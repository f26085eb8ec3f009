"""Requests that no SDK makes are refused in Key Vault's words, and change nothing."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from azure.keyvault.secrets import SecretClient

from localcloud.tests.keyvault.conftest import OFFICER, Here


@pytest.fixture
def admin(http: httpx.Client, vault: Here) -> Iterator[httpx.Client]:
    http.headers["Authorization"] = f"Bearer {vault.token(roles=[OFFICER])}"
    yield http
    del http.headers["Authorization"]


@pytest.mark.parametrize(
    "name", ["under_score", "dot.ted", "spa%20ce", "per%25cent", "x" * 128, "%C3%BC", "a%00b"]
)
def test_a_name_of_other_characters_is_refused(admin: httpx.Client, name: str) -> None:
    answer = admin.put(f"/secrets/{name}", json={"value": "x"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BadParameter"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"value": null}',
        b'{"value": 1}',
        b'{"value": "x", "tags": {"a": 1}}',
        b'{"value": "x", "tags": [["a", "b"]]}',
        b'{"value": "x", "attributes": {"enabled": "yes"}}',
        b'{"value": "x", "attributes": {"exp": -1}}',
        b'{"value": "x", "attributes": {"exp": 1e300}}',
        b'{"value": "x", "attributes": []}',
        b'{"value": "\xff"}',
        b'{"value": "' + b"x" * 25_601 + b'"}',
        json.dumps({"value": "x", "contentType": "x" * 256}).encode(),
        json.dumps({"value": "x", "tags": dict.fromkeys(map(str, range(16)), "")}).encode(),
        b'{"value": ' + b"[" * 100_000,
    ],
)
def test_a_body_of_another_shape_is_refused(
    admin: httpx.Client, officer: SecretClient, body: bytes
) -> None:
    before = officer.set_secret("shaped", "kept").id
    answer = admin.put("/secrets/shaped", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BadParameter"
    assert officer.get_secret("shaped").id == before


def test_a_value_may_have_25_kilobytes(admin: httpx.Client) -> None:
    answer = admin.put("/secrets/large", json={"value": "x" * 25_600})
    assert answer.status_code == 200
    assert admin.get("/secrets/large").json()["value"] == "x" * 25_600


def test_a_body_that_is_too_large_is_not_read_to_its_end(admin: httpx.Client) -> None:
    answer = admin.put("/secrets/huge", content=b" " * 300_000)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, "api-version must be specified"),
        ({"api-version": "1.0"}, "The specified version (1.0) is not recognized."),
        ({"api-version": "7.6", "maxresults": "0"}, "maxresults must be between 1 and 25."),
        ({"api-version": "7.6", "maxresults": "26"}, "maxresults must be between 1 and 25."),
        ({"api-version": "7.6", "maxresults": "-1"}, "maxresults must be a number."),
        ({"api-version": "7.6", "maxresults": "²"}, "maxresults must be a number."),
        ({"api-version": "7.6", "$skiptoken": "%%%"}, "The skip token is malformed."),
        ({"api-version": "7.6", "$skiptoken": "_w"}, "The skip token is malformed."),
    ],
)
def test_a_wrong_query_is_refused(
    vault: Here, admin: httpx.Client, query: dict[str, str], message: str
) -> None:
    url = httpx.URL(f"{vault.url}/secrets", params=query)
    admin.params = httpx.QueryParams()
    answer = admin.get(url)
    assert answer.status_code == 400
    assert answer.json() == {"error": {"code": "BadParameter", "message": message}}


@pytest.mark.parametrize("version", ["latest", "0" * 31, "G" * 32, "0" * 33, "..%2f.."])
def test_a_version_of_another_shape_is_refused(admin: httpx.Client, version: str) -> None:
    assert admin.get(f"/secrets/any/{version}").status_code in {400, 404}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/secrets/never-there", 404),
        ("GET", "/secrets/never-there/" + "0" * 32, 404),
        ("GET", "/secrets/never-there/versions", 404),
        ("PATCH", "/secrets/never-there", 404),
        ("DELETE", "/secrets/never-there", 404),
        ("GET", "/deletedsecrets/never-there", 404),
        ("DELETE", "/deletedsecrets/never-there", 404),
        ("POST", "/deletedsecrets/never-there/recover", 404),
        ("POST", "/secrets/never-there/backup", 404),
        ("POST", "/secrets/restore", 400),
        ("POST", "/secrets/never-there", 405),
        ("GET", "/keys", 404),
        ("GET", "/", 404),
    ],
)
def test_what_is_not_there_is_said_so(
    admin: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = admin.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] in {
        "SecretNotFound",
        "BadParameter",
        "MethodNotAllowed",
        "NotFound",
    }


@pytest.mark.parametrize("host", ["evil.example/path", "a b", "x@127.0.0.1", "a,b"])
def test_a_host_that_is_none_is_refused(admin: httpx.Client, host: str) -> None:
    assert admin.get("/secrets", headers={"Host": host}).status_code == 400


def test_answers_are_kept_by_no_cache(admin: httpx.Client) -> None:
    headers: Any = admin.get("/secrets").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert len(headers["x-ms-request-id"]) == 36


def test_the_vault_says_that_it_lives_without_a_token(http: httpx.Client) -> None:
    assert http.get("/health").json() == {"status": "ok"}
