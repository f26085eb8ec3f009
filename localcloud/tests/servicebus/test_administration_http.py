"""The HTTPS side of the administration API, for those who do not use an SDK, or mean no good."""

import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from localcloud.servicebus.certificate import server_context
from localcloud.tests.servicebus.peer import sas
from localcloud.tests.servicebus.rig import BrokerProcess

ATOM = "http://www.w3.org/2005/Atom"
SERVICE_BUS = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"


def entry(description: str, head: str = "") -> str:
    return f'{head}<entry xmlns="{ATOM}"><content>{description}</content></entry>'


def queue(inside: str = "") -> str:
    return f'<QueueDescription xmlns="{SERVICE_BUS}">{inside}</QueueDescription>'


@pytest.fixture(scope="module")
def web(broker: BrokerProcess) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=broker.certificate)
    base = f"https://127.0.0.1:{broker.admin_port}"
    headers = {"Authorization": sas(f"{base}/")}
    with httpx.Client(base_url=base, verify=context, headers=headers, trust_env=False) as client:
        yield client


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """The status and the detail of a refusal, both from its body."""
    assert answer.headers["Content-Type"] == "application/xml"
    text = answer.text
    code = text.partition("<Code>")[2].partition("</Code>")[0]
    assert int(code) == answer.status_code
    return answer.status_code, text.partition("<Detail>")[2].partition("</Detail>")[0]


def test_nobody_enters_without_a_token_that_covers_the_address(web: httpx.Client) -> None:
    base = str(web.base_url)
    for token in (
        "",
        "Bearer x",
        "SharedAccessSignature sr=x",
        sas(base, key="wrong"),
        sas(base, expires_in_s=-1),
        sas(f"{base}/other"),
    ):
        answer = web.put("/stolen", content=entry(queue()), headers={"Authorization": token})
        assert error_of(answer)[0] == 401, token
    assert "<entry" not in web.get("/stolen").text
    own = {"Authorization": sas(f"{base}/goal")}
    assert web.get("/goal", headers=own).status_code == 200
    assert web.get("/$Resources/queues", headers=own).status_code == 401


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("", "The body is not XML"),
        ("<entry", "The body is not XML"),
        ("<entry/>", "The body is not an Atom entry with one description as its content."),
        (entry(""), "The body is not an Atom entry with one description as its content."),
        (entry("<Queue/>"), "Queue does not describe a queue or topic."),
        (entry(queue("<Colour>red</Colour>")), "Colour is not supported."),
        (entry(queue("<LockDuration>soon</LockDuration>")), "LockDuration is not a duration"),
        (entry(queue("<MaxDeliveryCount>-1</MaxDeliveryCount>")), "MaxDeliveryCount cannot be"),
        (entry(queue("<RequiresSession>perhaps</RequiresSession>")), "RequiresSession cannot be"),
        (
            entry(queue(), '<!DOCTYPE entry [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
            "The body must not have a document type.",
        ),
        (
            entry(
                queue("<UserMetadata>&x;</UserMetadata>"),
                '<!DOCTYPE entry [<!ENTITY x "aaaaaaaaaa"><!ENTITY y "&x;&x;&x;&x;&x;&x;">]>',
            ),
            "The body must not have a document type.",
        ),
        ("<a>" * 5_000, "The body is not XML"),
    ],
)
def test_a_body_that_cannot_be_understood_creates_nothing(
    web: httpx.Client, body: str, complaint: str
) -> None:
    answer = web.put("/malformed", content=body)
    status, detail = error_of(answer)
    assert status == 400
    assert detail.startswith(complaint)
    assert "<entry" not in web.get("/malformed").text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/goal", 405),
        ("PUT", "/$namespaceinfo", 405),
        ("DELETE", "/$Resources/queues", 405),
        ("GET", "/$Resources/queues?$skip=-1", 400),
        ("GET", "/$Resources/topics?$top=many", 400),
        ("GET", "/nowhere/subscriptions", 404),
        ("GET", "/relay/subscriptions/nobody/rules", 404),
        ("GET", "/goal/subscriptions", 404),
        ("DELETE", "/relay/subscriptions/all/rules/none", 404),
        ("PUT", "/relay/subscriptions/all/rules/r", 400),
    ],
)
def test_what_is_not_offered_is_refused(
    web: httpx.Client, method: str, path: str, status: int
) -> None:
    assert error_of(web.request(method, path))[0] == status


def test_a_body_that_is_too_large_is_not_read(web: httpx.Client) -> None:
    answer = web.put("/large", content=b"x" * 300_000)
    assert error_of(answer) == (413, "A body has at most 262144 bytes.")


def test_lists_come_in_pages(web: httpx.Client) -> None:
    total = web.get("/$Resources/queues").text.count("<entry")
    seen: list[str] = []
    address: Any = "/$Resources/queues?$top=7&api-version=2021-05"
    while address:
        page = web.get(address).text
        seen += [part.partition("</title>")[0] for part in page.split("<title>")[2:]]
        address = page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert len(seen) == total
    assert seen == sorted(seen)
    assert web.get("/$Resources/queues?$skip=5000").text.count("<entry") == 0


def test_who_does_not_speak_tls_hinders_nobody(broker: BrokerProcess, web: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", broker.admin_port), 5) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
        peer.settimeout(5)
        assert not peer.recv(1_000).startswith(b"HTTP")
        with socket.create_connection(("127.0.0.1", broker.admin_port), 5) as silent:
            assert web.get("/goal").status_code == 200
            assert silent.fileno() > 0


def test_a_certificate_is_kept_until_it_no_longer_serves(tmp_path: Path) -> None:
    certificate = tmp_path / "new" / "tls.pem"
    key = certificate.with_suffix(".key")
    server_context(certificate, "127.0.0.1")
    first = certificate.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    server_context(certificate, "127.0.0.1")
    assert certificate.read_bytes() == first
    server_context(certificate, "bus.example")
    second = certificate.read_bytes()
    assert second != first
    key.write_text("not a key")
    server_context(certificate, "bus.example")
    assert certificate.read_bytes() != second
