import httpx
import pytest

from localcloud.dashboard.guard import HEADERS, is_loopback
from localcloud.tests.dashboard.conftest import client_of


@pytest.fixture
async def refusing() -> httpx.AsyncClient:
    """A client of a dashboard whose database is not there."""
    return client_of("postgresql://durable@127.0.0.1:1/hub")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8090", "localhost", "LocalHost:1", "[::1]", "[::1]:8090"],
)
async def test_the_names_of_this_machine_are_let_in(refusing: httpx.AsyncClient, host: str) -> None:
    assert is_loopback(host)
    assert (await refusing.get("/health", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8090",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost:8090.evil.example",
        "evil.example#127.0.0.1",
        "127.0.0.1@evil.example",
        "0.0.0.0",  # noqa: S104 - no address to listen on here
        "169.254.1.1",
        "::1",
        "127.0.0.1:123456",
        "localhost ",
    ],
)
@pytest.mark.parametrize("path", ["/", "/health", "/orchestrations/x", "/static/dashboard.js"])
async def test_any_other_host_is_refused_before_anything_is_read(
    refusing: httpx.AsyncClient, host: str, path: str
) -> None:
    answer = await refusing.get(path, headers={"Host": host})
    assert answer.status_code == 403
    assert answer.text == "The dashboard answers only to localhost, 127.0.0.1 and [::1].\n"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")


async def test_a_request_with_two_hosts_is_refused(refusing: httpx.AsyncClient) -> None:
    hosts = [("Host", "127.0.0.1"), ("Host", "evil.example")]
    assert (await refusing.get("/health", headers=hosts)).status_code == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/health", 200),
        ("/static/dashboard.css", 200),
        ("/static/../app.py", 404),
        ("/static/app.py", 404),
        ("/nowhere", 404),
        ("/orchestrations", 503),
        ("/orchestrations/x", 503),
    ],
)
async def test_every_answer_carries_the_policy(
    refusing: httpx.AsyncClient, path: str, status: int
) -> None:
    answer = await refusing.get(path)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/orchestrations", "/orchestrations/x", "/health"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_can_be_changed(refusing: httpx.AsyncClient, method: str, path: str) -> None:
    assert (await refusing.request(method, path)).status_code == 405
