import json

import httpx
import pytest

from localcloud.tests.communication.conftest import address, email, sent_to
from localcloud.tests.communication.test_access import signed


def post(http: httpx.Client, path: str, version: str, body: bytes) -> httpx.Response:
    request = http.build_request("POST", path, params={"api-version": version}, content=body)
    request.headers.update(signed(request.url, request.content))
    return http.send(request)


@pytest.mark.parametrize(
    ("path", "version"), [("/emails:send", "2025-09-01"), ("/sms", "2021-03-07")]
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"a":' * 10_000,
        b'{"senderAddress": "\\ud800"}',
        b'{"recipients": {"to": [{"address": "a@b.example"}]}, "recipients": null}',
    ],
    ids=["empty", "cut", "list", "null", "binary", "deep", "surrogate", "twice"],
)
def test_a_body_that_makes_no_sense_is_refused(
    http: httpx.Client, path: str, version: str, body: bytes
) -> None:
    before = http.get("/overview").json()
    answer = post(http, path, version, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BadRequest"
    after = http.get("/overview").json()
    assert [after[channel]["messages"] for channel in ("email", "sms")] == [
        before[channel]["messages"] for channel in ("email", "sms")
    ]


def test_control_characters_are_kept_and_shown_as_symbols(http: httpx.Client) -> None:
    to = address()
    text = "a\x00b\x1b[31mc\u202ed"
    message = email(to, content={"subject": text, "plainText": text})
    assert post(http, "/emails:send", "2025-09-01", json.dumps(message).encode()).status_code == 202
    [kept] = sent_to(http, to)
    assert kept["text"] == text
    assert "a␀b␛[31mc" in http.get(kept["url"]).text


@pytest.mark.parametrize(
    "path",
    [
        "/?before=99999999999999999999",
        "/?q=" + "%25" * 5_000,
        "/?to=%00&channel=fax",
        "/messages?since=9999-12-31",
        "/?fragment",
    ],
)
def test_a_page_bears_any_question(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/mail/99999999999999999999",
        "/mail/1/attachments/99999999999999999999",
        "/static/..%2fapp.py",
        "/static/%2e%2e",
        "/messages/1.5",
    ],
)
def test_what_is_not_there_is_not_found(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 404
