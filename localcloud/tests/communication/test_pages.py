import re
import uuid
from typing import Any

import httpx
import pytest
from azure.communication.email import EmailClient
from starlette.responses import PlainTextResponse

from localcloud.communication import letter
from localcloud.communication.guard import Guard
from localcloud.communication.list_page import PAGE
from localcloud.tests.communication.conftest import (
    NUMBER,
    address,
    email,
    number,
    send,
    sent_to,
)
from localcloud.tests.communication.grid import Grid
from localcloud.tests.partners.part import Part

HOSTILE = "<script>alert(1)</script><img src=https://evil.example/x.png onerror=alert(2)>"
HOSTS = [
    "",
    "evil.example",
    "evil.example:7082",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "169.254.1.1",
]


def titles(page: str) -> list[str]:
    return re.findall(r'class="title">([^<]*)<', page)


def test_the_list_shows_the_newest_first_and_pages_through_the_rest(
    emails: EmailClient, http: httpx.Client
) -> None:
    to = address()
    for position in range(PAGE + 2):
        send(emails, email(to, content={"subject": f"No. {position}", "plainText": "text"}))
    page = http.get("/", params={"to": to}).text
    assert titles(page) == [f"No. {position}" for position in range(PAGE + 1, 1, -1)]
    [older] = re.findall(r'<a href="([^"]*)" rel="next">Older</a>', page)
    assert titles(http.get(older.replace("&amp;", "&")).text) == ["No. 1", "No. 0"]


@pytest.mark.parametrize(
    ("words", "found"),
    [("Rechnung", 1), ("rechnung", 1), ("im Anhang", 1), ("100%", 1), ("%", 1), ("nothing", 0)],
)
def test_words_are_looked_for_in_subjects_texts_and_addresses(
    emails: EmailClient, http: httpx.Client, words: str, found: int
) -> None:
    to = address()
    send(
        emails,
        email(to, content={"subject": "Ihre Rechnung 100%", "plainText": "Sie ist im Anhang."}),
    )
    send(emails, email(to))
    assert len(titles(http.get("/", params={"to": to, "q": words}).text)) == found
    assert len(titles(http.get("/", params={"q": to[:20]}).text)) == 2


def test_a_list_without_messages_says_so(http: httpx.Client) -> None:
    page = http.get("/", params={"q": uuid.uuid4().hex}).text
    assert "No message is like that." in page


def test_what_stands_in_a_message_is_never_markup_of_the_page(
    emails: EmailClient, texts: Any, http: httpx.Client
) -> None:
    to, text_to = address(), number()
    send(
        emails,
        email(
            to,
            content={"subject": HOSTILE, "plainText": HOSTILE},
            headers={"x-hostile": HOSTILE},
            replyTo=[{"address": "help@shop.example", "displayName": HOSTILE}],
        ),
    )
    texts.send(NUMBER, text_to, HOSTILE, tag=HOSTILE)
    for wanted in (to, text_to):
        [message] = sent_to(http, wanted)
        for path in (message["url"], f"/?to={wanted.replace('+', '%2B')}"):
            page = http.get(path).text
            assert "&lt;script&gt;alert(1)" in page
            assert HOSTILE not in page
            assert page.count("<script") == 1, "the page's own"


def test_the_html_of_an_email_may_do_nothing(emails: EmailClient, http: httpx.Client) -> None:
    to = address()
    send(emails, email(to, content={"subject": "Hi", "html": f"<head></head>{HOSTILE}"}))
    [message] = sent_to(http, to)
    page = http.get(message["url"]).text
    assert f'sandbox="{letter.SANDBOX}"' in page
    assert "allow-scripts" not in page
    assert "allow-same-origin" not in page
    shown = http.get(f"{message['url']}/html")
    assert shown.text == f'<head><base target="_blank"></head>{HOSTILE}'
    policy = shown.headers["content-security-policy"]
    assert policy == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
        "base-uri 'none'; frame-ancestors 'self'; "
        "sandbox allow-popups allow-popups-to-escape-sandbox"
    )


def test_the_html_of_an_email_shows_the_pictures_that_it_brings(
    emails: EmailClient, http: httpx.Client
) -> None:
    to = address()
    html = '<img src="cid:logo"><img src="cid:other">'
    one = {
        "name": "logo.png",
        "contentType": 'image/png; x="><b>',
        "contentInBase64": "iVBORw==",
        "contentId": "logo",
    }
    send(emails, email(to, content={"subject": "Hi", "html": html}, attachments=[one]))
    [message] = sent_to(http, to)
    shown = http.get(f"{message['url']}/html").text
    assert '<img src="data:image/png;base64,iVBORw=="><img src="cid:other">' in shown


def test_an_attachment_is_saved_and_never_shown(emails: EmailClient, http: httpx.Client) -> None:
    to = address()
    one = {"name": 'a"b;ü.html', "contentType": "text/html", "contentInBase64": "PGI+"}
    send(emails, email(to, attachments=[one]))
    [message] = sent_to(http, to)
    answer = http.get(f"{message['url']}/attachments/0")
    assert answer.headers["content-disposition"] == (
        "attachment; filename*=UTF-8''a%22b%3B%C3%BC.html"
    )
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert http.get(f"{message['url']}/attachments/1").status_code == 404


def test_texts_to_a_number_are_shown_as_one_conversation(texts: Any, http: httpx.Client) -> None:
    to = number()
    for text in ("first", "second"):
        texts.send(NUMBER, to, text)
    page = http.get(sent_to(http, to)[1]["url"]).text
    assert re.findall(r'class="bubble">([^<]*)<', page) == ["first", "second"]
    assert page.count('aria-current="true"') == 1


def test_a_message_shows_its_reports(emails: EmailClient, http: httpx.Client, grid: Grid) -> None:
    to = address("bounce")
    [event] = grid.expect(send(emails, email(to)), 1)
    page = http.get(sent_to(http, to)[0]["url"]).text
    assert f"<code>{event['id']}</code>" in page
    assert "The email account that you tried to reach does not exist." in page
    assert "data-refresh" not in page, "nothing will change any more"


@pytest.mark.parametrize("path", ["/mail/0", "/mail/x", "/mail/0/html", "/static/none"])
def test_a_page_that_is_not_there_says_so(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 404


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("path", ["/", "/messages", "/overview", "/control/ledger", "/health"])
def test_a_foreign_host_is_refused_before_anything_is_read(
    http: httpx.Client, host: str, path: str
) -> None:
    answer = http.get(path, headers={"Host": host})
    assert answer.status_code == 403
    assert answer.text.startswith("Communication Services answers only to localhost")


async def test_a_request_with_two_hosts_is_refused() -> None:
    transport = httpx.ASGITransport(Guard(PlainTextResponse("let in")))
    hosts = [("Host", "127.0.0.1"), ("Host", "evil.example")]
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        assert (await client.get("/", headers=hosts[:1])).text == "let in"
        assert (await client.get("/", headers=hosts)).status_code == 403


@pytest.mark.parametrize("path", ["/", "/overview", "/mail/0", "/static/mailbox.css"])
def test_every_answer_keeps_browsers_on_a_short_leash(http: httpx.Client, path: str) -> None:
    headers = http.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1", "null"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/control/reset"), ("DELETE", "/control/suppressions"), ("GET", "/messages")],
)
def test_a_page_from_elsewhere_cannot_ask_for_anything(
    http: httpx.Client, method: str, path: str, origin: str
) -> None:
    assert http.request(method, path, headers={"Origin": origin}).status_code == 403


def test_a_page_from_here_may_ask(http: httpx.Client, part: Part) -> None:
    assert http.get("/messages", headers={"Origin": part.url}).status_code == 200
