"""People in a browser without JavaScript: they sign in, register and sign out; pages may ask."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jwt
import pytest
from playwright.async_api import Browser, Page

from localcloud.tests.identity.application import (
    CLIENTS,
    CUSTOMER_PORTAL,
    EMPLOYEE_PORTAL,
    EMPLOYEES,
    EMPLOYEES_API,
    REDIRECT_URI,
    STANDARD,
    Application,
)
from localcloud.tests.partners.part import Part
from tests.rig.browser import chromium


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(java_script_enabled=False)
    yield await context.new_page()
    await context.close()


def callback(identity: Part) -> str:
    """Any address of this machine will do for the application; here nothing answers but a 404."""
    return f"http://localhost:{identity.port}/auth/callback"


def address(identity: Part, application: Application, **changes: str) -> str:
    query = application.query(redirect_uri=callback(identity), **changes)
    return f"{identity.url}{application.authorize}?{urlencode(query)}"


async def tokens_at(page: Page, identity: Part, application: Application) -> dict[str, Any]:
    """What the code becomes that the browser was sent back with."""
    await page.wait_for_url(f"{callback(identity)}?*")
    code = parse_qs(urlsplit(page.url).query)["code"][0]
    answer = await application.redeem(code, redirect_uri=callback(identity))
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


async def test_a_client_signs_in_with_one_click_and_out_again(
    identity: Part, http: httpx.AsyncClient, page: Page
) -> None:
    portal = Application(http)
    await page.goto(address(identity, portal))
    names = await page.locator(".person .name").all_inner_texts()
    await page.get_by_role("button", name="Bruno Keller").click()
    tokens = await tokens_at(page, identity, portal)

    home = f"http://localhost:{identity.port}/signed-out"
    query = urlencode({"post_logout_redirect_uri": home})
    await page.goto(f"{identity.url}/{CLIENTS}/oauth2/v2.0/logout?{query}")
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url(home)
    refreshed = await portal.refresh(tokens["refresh_token"])

    assert names == ["Alice Moreau", "Bruno Keller", "Chloe Jansen"]
    assert refreshed.status_code == 400


async def test_an_employee_sees_the_roles_and_signs_in_by_keyboard(
    identity: Part, http: httpx.AsyncClient, page: Page
) -> None:
    scope = f"{STANDARD} api://{EMPLOYEES_API}/employee.access"
    intranet = Application(http, EMPLOYEES, EMPLOYEE_PORTAL, scope)
    await page.goto(address(identity, intranet))
    roles = await page.locator(".person .role").all_inner_texts()
    for _ in range(3):
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")

    tokens = await tokens_at(page, identity, intranet)

    assert roles == ["Customer service", "Order manager", "Administrator"]
    assert "employee.access" in tokens["scope"]


async def test_a_new_client_registers_after_a_mistake_and_comes_back_with_the_password(
    identity: Part, http: httpx.AsyncClient, page: Page
) -> None:
    portal = Application(http)
    await page.goto(address(identity, portal))
    await page.get_by_role("link", name="Create an account").click()
    await page.get_by_label("Name").fill("Greta Holm")
    await page.get_by_label("E-mail").fill("greta@example.com")
    await page.get_by_label("Password").fill("short")
    await page.get_by_role("button", name="Create account").click()
    title = await page.title()
    described = await page.get_by_label("Password").get_attribute("aria-describedby")
    await page.get_by_label("Password").fill("long enough")
    await page.get_by_role("button", name="Create account").click()
    await tokens_at(page, identity, portal)

    await page.goto(address(identity, portal, prompt="login"))
    await page.get_by_label("E-mail").fill("greta@example.com")
    await page.get_by_label("Password").fill("long enough")
    await page.get_by_role("button", name="Sign in", exact=True).click()
    tokens = await tokens_at(page, identity, portal)

    assert title == "Error: Create an account – local identity"
    assert described == "password-hint password-error"
    about = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    assert about["email"] == "greta@example.com"


@pytest.fixture
async def shop(browser: Browser) -> AsyncIterator[Page]:
    """A page with scripts."""
    context = await browser.new_context()
    yield await context.new_page()
    await context.close()


ASK = """async ([url, form]) => {
    try {
        const answer = await fetch(url, {
            method: "POST", body: new URLSearchParams(form), headers: {"x-client-sku": "test"},
        });
        return [answer.status, await answer.text()];
    } catch (error) { return [0, error.message]; }
}"""


async def ask(page: Page, identity: Part, form: dict[str, str]) -> tuple[int, Any]:
    url = f"{identity.url}/{CLIENTS}/oauth2/v2.0/token"
    status, text = await page.evaluate(ASK, [url, form])
    return status, json.loads(text) if status else text


async def test_pages_of_an_application_may_redeem_codes_and_others_may_not(
    identity: Part, http: httpx.AsyncClient, shop: Page
) -> None:
    portal = Application(http)
    form = {
        "grant_type": "authorization_code",
        "client_id": CUSTOMER_PORTAL,
        "code": await portal.code("alice"),
        "redirect_uri": REDIRECT_URI,
        "code_verifier": portal.verifier,
    }

    # The same server under other names: to a browser these are pages of other origins.
    await shop.goto(f"http://shop.localhost:{identity.port}/people")
    foreign = await ask(shop, identity, form)
    await shop.goto(f"http://localhost:{identity.port}/people")
    own = await ask(shop, identity, form)
    again = await ask(shop, identity, form)

    assert foreign == (0, "Failed to fetch")
    assert own[0] == 200
    assert set(own[1]) >= {"access_token", "id_token", "refresh_token"}
    assert (again[0], again[1]["error"]) == (400, "invalid_grant")
