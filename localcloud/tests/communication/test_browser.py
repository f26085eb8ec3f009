"""The mailbox in a Chromium, with a server of its own so that it begins empty."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from azure.communication.email import EmailClient
from azure.core.credentials import AzureKeyCredential
from playwright.async_api import Page, expect

from localcloud.tests.communication.conftest import KEY, MODULE, NUMBER, email, send, sms_client
from localcloud.tests.partners.part import Part, running
from tests.rig.browser import chromium

REMOTE = "https://remote.example/pixel.png"
LETTER = f"""<!doctype html><html><head><style>p {{ color: rgb(1, 2, 3) }}</style></head><body>
<p id="hello">Hello Alice</p><img src="{REMOTE}"><a href="https://shop.example/orders">Orders</a>
<script>document.getElementById("hello").textContent = "changed by a script"</script>
</body></html>"""
expect.set_options(timeout=30_000)
PHONE = {"width": 360, "height": 740}


@pytest.fixture
async def mailbox(tmp_path: Path) -> AsyncIterator[tuple[Part, Page]]:
    """The server, and its page before anything was sent."""
    with running(MODULE, tmp_path, "--key", KEY) as part:
        async with chromium() as browser:
            page = await browser.new_page()
            await page.goto(part.url)
            yield part, page


async def test_mail_appears_by_itself_and_can_do_no_harm(mailbox: tuple[Part, Page]) -> None:
    part, page = mailbox
    loaded: list[str] = []
    blocked: list[tuple[str, str | None]] = []
    page.on("requestfinished", lambda request: loaded.append(request.url))
    page.on("requestfailed", lambda request: blocked.append((request.url, request.failure)))
    await expect(page.get_by_text("Nothing was sent yet.")).to_be_visible()

    client = EmailClient(part.url, AzureKeyCredential(KEY))
    content = {"subject": "Your order 1001", "plainText": "Hello Alice", "html": LETTER}
    send(client, email("alice@clients.example", content=content))
    sms_client(part).send(NUMBER, "+4915112345678", "Your parcel is here.")
    await expect(page.get_by_role("link", name="Your parcel is here.")).to_be_visible()
    await expect(page.get_by_role("status")).to_have_text("There are new messages.")
    await expect(page.locator(".badge.delivered").first).to_be_visible()

    await page.get_by_role("link", name="Your order 1001").click()
    letter = page.frame_locator("iframe")
    await expect(letter.get_by_text("Hello Alice")).to_have_css("color", "rgb(1, 2, 3)")
    await expect(page.get_by_role("heading", name="Your order 1001")).to_be_visible()
    assert blocked == [(REMOTE, "csp")]
    assert {url.split("/")[2] for url in loaded} == {f"127.0.0.1:{part.port}"}

    await page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for path in ("/", "/mail/1", "/mail/2"):
        await page.goto(part.url + path)
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width == PHONE["width"], f"{path} does not fit a phone"
