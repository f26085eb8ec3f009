"""The examples of the notifier's page, run in a browser as they stand there."""

import re
from pathlib import Path
from uuid import uuid4

from playwright.async_api import Browser, Page

from localcloud.node import PACKAGES
from shared.live import Feed, LiveMessage
from tests.integration.notifier.rig import Identity, Replica, somebody, until

README = Path(__file__).resolve().parents[3] / "notifier" / "README.md"
CLIENT = PACKAGES / "@microsoft" / "signalr" / "dist" / "browser" / "signalr.js"


def example(name: str) -> str:
    """The example that holds `name`, at the paths that the notifier has without a gateway."""
    examples = re.findall(r"```js\n(.*?)```", README.read_text(), re.DOTALL)
    (found,) = [text for text in examples if name in text]
    return str(found).replace("/external-api/v1/notifications", "/notifications")


async def page_of(browser: Browser, replica: Replica) -> Page:
    page = await browser.new_page()
    await page.goto(f"{replica.url}/health/live")
    await page.add_script_tag(path=CLIENT)
    return page


async def test_the_example_with_signalr_shows_each_message_once(
    browser: Browser, replica: Replica, identity: Identity, feed: Feed
) -> None:
    me, order = somebody(), uuid4()
    told = [
        LiveMessage((f"user:{me}",), "notification", "n", {"title": "one"}),
        LiveMessage((f"user:{me}",), "notification", "n", {"title": "again"}),
        LiveMessage((f"order:{order}",), "order", "o", {"status": "shipped"}, owner=me),
    ]
    page = await page_of(browser, replica)
    await page.evaluate(
        f"""async ({{token, order}}) => {{
            window.shown = []; window.fetched = 0;
            const getAccessToken = () => token, watchedOrders = [order];
            const showNotification = (m) => {{ shown.push(m.title); }};
            const showOrder = (m) => {{ shown.push(m.status); }};
            const fetchNotifications = () => {{ window.fetched += 1; }};
            {example("HubConnectionBuilder")}
        }}""",
        {"token": identity.token(me), "order": str(order)},
    )
    assert await feed.publish(told)
    await until(lambda: page.evaluate("() => shown.includes('shipped')"), "the order's message")

    assert await page.evaluate("() => [shown, fetched]") == [["one", "shipped"], 1]
    await page.close()


async def test_the_example_with_an_event_source_hears(
    browser: Browser, replica: Replica, identity: Identity, feed: Feed
) -> None:
    me = somebody()
    page = await page_of(browser, replica)
    await page.evaluate(
        f"""async (token) => {{
            const last = null, headers = {{Authorization: `Bearer ${{token}}`}};
            const post = async (url) => (await fetch(url, {{method: "POST", headers}})).json();
            {example("EventSource(")}
            window.heard = [];
            source.addEventListener("notification", (e) => heard.push(JSON.parse(e.data).title));
            await new Promise((resolve) => {{ source.onopen = resolve; }});
        }}""",
        identity.token(me),
    )
    assert await feed.publish([LiveMessage((f"user:{me}",), "notification", "n", {"title": "one"})])
    await until(lambda: page.evaluate("() => heard.length === 1"), "the event")

    assert await page.evaluate("() => heard") == ["one"]
    await page.close()
