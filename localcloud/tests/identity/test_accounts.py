"""Clients register themselves; whoever guesses passwords has to wait."""

import uuid

import httpx
import pytest

from localcloud.identity.people import People
from localcloud.identity.store import Store
from localcloud.identity.throttle import Throttle
from localcloud.tests.identity.application import (
    CLIENTS,
    CLIENTS_API,
    EMPLOYEE_PORTAL,
    EMPLOYEES,
    EMPLOYEES_API,
    Application,
    brought,
)
from localcloud.tests.identity.conftest import Stranger

DORA = {"name": "Dora  Štěpánová", "username": "Dora@Example.com", "password": "correct horse"}


@pytest.fixture
def portal(http: httpx.AsyncClient) -> Application:
    return Application(http)


async def by_password(portal: Application, username: str, password: str) -> httpx.Response:
    form = {"grant_type": "password", "client_id": portal.client_id, "scope": portal.scope}
    return await portal.post(form | {"username": username, "password": password})


async def test_a_new_client_is_signed_in_at_once_and_can_come_back(
    portal: Application, stranger: Stranger
) -> None:
    registered = await portal.submit(DORA, prompt="create")
    tokens = (await portal.redeem(brought(registered)["code"])).json()
    back = await portal.submit({"username": "dora@example.com", "password": "correct horse"})
    granted = await by_password(portal, "DORA@example.com", "correct horse")
    again = await portal.submit(DORA, prompt="create")

    claims = await stranger.verified(tokens["access_token"], CLIENTS, CLIENTS_API)
    assert claims["name"] == "Dora Štěpánová"
    assert claims["email"] == claims["preferred_username"] == "dora@example.com"
    assert str(uuid.UUID(claims["oid"])) == claims["oid"]
    same = await stranger.verified(granted.json()["access_token"], CLIENTS, CLIENTS_API)
    assert same["oid"] == claims["oid"]
    assert "code" in brought(back)
    assert again.status_code == 400
    assert "There is an account with this address already." in again.text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": ""}, "Enter your name"),
        ({"name": "x" * 81}, "Enter your name"),
        ({"name": "a\x07b"}, "Enter your name"),
        ({"username": ""}, "Enter an e-mail address"),
        ({"username": "eve"}, "Enter an e-mail address"),
        ({"username": "eve@example"}, "Enter an e-mail address"),
        ({"username": "eve@@example.com"}, "Enter an e-mail address"),
        ({"username": "e" * 250 + "@example.com"}, "Enter an e-mail address"),
        ({"username": "alice@clients.example"}, "There is an account"),
        ({"username": "ADA@company.example"}, "There is an account"),
        ({"password": "short"}, "Choose a password"),
        ({"password": "x" * 129}, "Choose a password"),
    ],
)
async def test_a_registration_that_is_not_right_says_what_to_change(
    portal: Application, changes: dict[str, str], says: str
) -> None:
    eve = {"name": "Eve", "username": "eve@example.com", "password": "long enough"}

    answer = await portal.submit(eve | changes, prompt="create")
    afterwards = await by_password(portal, "eve@example.com", "long enough")

    assert answer.status_code == 400
    assert says in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert "long enough" not in answer.text
    assert "set-cookie" not in answer.headers
    assert afterwards.status_code == 400


async def test_employees_do_not_register(http: httpx.AsyncClient) -> None:
    scope = f"openid api://{EMPLOYEES_API}/employee.access"
    intranet = Application(http, EMPLOYEES, EMPLOYEE_PORTAL, scope)

    asked = await intranet.visit(prompt="create")
    page = await intranet.visit()
    posted = await intranet.submit(DORA | {"username": "mole@company.example"})

    assert brought(asked)["error"] == "invalid_request"
    assert "Create an account" not in page.text
    assert posted.status_code == 400
    assert "set-cookie" not in posted.headers


async def test_markup_in_a_name_is_text(portal: Application) -> None:
    person = {"name": "<b>Mallory</b>", "username": "mallory@example.com", "password": "<i>8chars"}
    await portal.submit(person)

    page = await portal.visit(prompt="select_account")

    assert "&lt;b&gt;Mallory&lt;/b&gt;" in page.text
    assert "<b>" not in page.text


async def test_a_wrong_password_says_nothing_about_who_exists(portal: Application) -> None:
    pages = [
        await portal.submit({"username": username, "password": "wrong"})
        for username in ("bruno@clients.example", "nobody@example.com", "")
    ]

    for page in pages:
        assert page.status_code == 400
        assert "That e-mail address or that password is not right." in page.text
        assert "set-cookie" not in page.headers


@pytest.mark.conforms(
    "Sign-in",
    "After ten failed attempts an account is locked for a minute.",
    source="learn:entra/identity/authentication/howto-password-smart-lockout",
)
async def test_after_ten_wrong_passwords_not_even_the_right_one_helps(
    portal: Application,
) -> None:
    frank = {"name": "Frank", "username": "frank@example.com", "password": "frank's own"}
    await portal.submit(frank)
    for attempt in range(10):
        wrong = await by_password(portal, "Frank@example.com", f"guess {attempt}")
        assert wrong.json()["error_codes"] == [50126]

    granted = await by_password(portal, "frank@example.com", "frank's own")
    page = await portal.submit({"username": "frank@example.com", "password": "frank's own"})
    other = await by_password(portal, "chloe@clients.example", "demo")

    assert (granted.status_code, granted.json()["error_codes"]) == (400, [50053])
    assert page.status_code == 429
    assert "Too many wrong passwords." in page.text
    assert other.status_code == 200


def test_an_account_rests_for_a_minute_and_every_further_failure_adds_one() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    for _ in range(9):
        throttle.failed("clients", "a")
    assert not throttle.rests("clients", "a")

    throttle.failed("clients", "a")
    assert throttle.rests("clients", "a")
    assert not throttle.rests("employees", "a")
    now[0] = 60.0
    assert not throttle.rests("clients", "a")
    throttle.failed("clients", "a")
    assert throttle.rests("clients", "a")
    now[0] = 120.0
    throttle.succeeded("clients", "a")
    throttle.failed("clients", "a")
    assert not throttle.rests("clients", "a")


def test_the_throttle_forgets_the_oldest_of_very_many_addresses() -> None:
    throttle = Throttle(lambda: 0.0)
    for _ in range(10):
        throttle.failed("clients", "first")
    for number in range(10_000):
        throttle.failed("clients", f"address {number}")

    assert not throttle.rests("clients", "first")


async def test_passwords_are_kept_as_slow_digests_with_salts(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    store = Store(tmp_path_factory.mktemp("people"))
    people = People(store)
    for username in ("a@example.com", "b@example.com"):
        await people.register("Somebody", username, "the same one")

    kept = [row["password"] for row in store.rows("SELECT password FROM people")]
    store.close()

    assert all(digest.startswith("scrypt$") for digest in kept)
    assert kept[0] != kept[1]
