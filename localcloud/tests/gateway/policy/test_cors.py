"""`cors`: pages of other origins."""

import pytest

from localcloud.gateway.policy import Headers, PolicyFault, Response
from localcloud.tests.gateway.policy.stage import Stage, Staged, section

SOURCE = "learn:azure/api-management/cors-policy"
SHOP = "https://shop.test"


def policy(*, attributes: str = 'terminate-unmatched-request="false"', origin: str = SHOP) -> str:
    return f"""<cors {attributes}>
<allowed-origins><origin>{origin}</origin><origin>http://localhost:3000/</origin></allowed-origins>
<allowed-methods preflight-result-max-age="600">
<method>GET</method><method>put</method></allowed-methods>
<allowed-headers><header>Authorization</header><header>If-Match</header></allowed-headers>
<expose-headers><header>ETag</header><header>Location</header></expose-headers>
</cors>"""


async def preflight(stage: Stage, origin: str, method: str = "PUT", headers: str = "") -> Response:
    context = stage.context(
        method="OPTIONS",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            **({"Access-Control-Request-Headers": headers} if headers else {}),
        },
    )
    return await stage.policies.pipeline("shop-v1", "look").preflight(context)


def granted(answer: Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.pairs() if name.startswith("Access-")}


@pytest.mark.conforms("cors", "Only cors is evaluated during preflight", source=SOURCE)
async def test_a_preflight_is_answered_before_anything_else_is_asked(staged: Staged) -> None:
    stage = staged(
        api=section(
            inbound=policy() + '<check-header name="X-Door" failed-check-httpcode="403"'
            ' failed-check-error-message=""'
            ' ignore-case="true"/>'
        )
    )
    answer = await preflight(stage, SHOP, headers="if-match, authorization")
    assert (answer.status, answer.body) == (200, b"")
    assert granted(answer) == {
        "Access-Control-Allow-Origin": SHOP,
        "Access-Control-Allow-Methods": "PUT",
        "Access-Control-Allow-Headers": "authorization,if-match",
        "Access-Control-Max-Age": "600",
    }
    assert answer.headers.get("Vary") == "Origin"
    assert stage.services.upstream.sent == []


@pytest.mark.parametrize(
    ("origin", "method", "headers"),
    [
        ("https://evil.test", "PUT", ""),
        ("http://shop.test", "PUT", ""),
        ("https://shop.test:8443", "PUT", ""),
        ("https://shop.test.evil.test", "PUT", ""),
        ("null", "PUT", ""),
        ("https://someone@shop.test", "PUT", ""),
        ("https://shop.\ttest", "PUT", ""),
        ("https://shop.test?x", "PUT", ""),
        (SHOP, "DELETE", ""),
        (SHOP, "PUT", "x-other"),
    ],
)
@pytest.mark.conforms("cors", "a preflight that does not match gets an empty 200", source=SOURCE)
async def test_a_preflight_that_does_not_match_is_granted_nothing(
    staged: Staged, origin: str, method: str, headers: str
) -> None:
    answer = await preflight(staged(api=section(inbound=policy())), origin, method, headers)
    assert (answer.status, answer.body, granted(answer)) == (200, b"", {})


@pytest.mark.conforms("cors", "a port left out is the scheme's", source=SOURCE)
@pytest.mark.parametrize(
    "origin", ["https://shop.test:443", "HTTPS://SHOP.TEST", "http://localhost:3000"]
)
async def test_origins_are_compared_as_origins(staged: Staged, origin: str) -> None:
    answer = await preflight(staged(api=section(inbound=policy())), origin)
    assert granted(answer)["Access-Control-Allow-Origin"] == origin


async def test_an_answer_to_the_origin_says_so_even_when_it_is_a_refusal(staged: Staged) -> None:
    stage = staged(
        api=section(
            inbound=policy()
            + '<base/><ip-filter action="forbid"><address>10.0.0.9</address></ip-filter>'
        )
    )
    for ip, status in (("10.0.0.5", 200), ("10.0.0.9", 403)):
        answer = await stage.ask(ip=ip, headers={"Origin": SHOP})
        assert answer.status == status
        assert granted(answer) == {
            "Access-Control-Allow-Origin": SHOP,
            "Access-Control-Expose-Headers": "ETag,Location",
        }
        assert answer.headers.get("Vary") == "Origin"


async def test_what_a_backend_says_of_vary_is_kept(staged: Staged) -> None:
    stage = staged(api=section(inbound="<base/>" + policy()))
    stage.services.upstream.headers = {"Vary": "Accept"}
    answer = await stage.ask(headers={"Origin": SHOP})
    assert answer.headers.values("Vary") == ["Accept", "Origin"]
    stage.services.upstream.headers = {"Vary": "accept, ORIGIN"}
    answer = await stage.ask(headers={"Origin": SHOP})
    assert answer.headers.values("Vary") == ["accept, ORIGIN"]


@pytest.mark.conforms(
    "cors",
    "an unmatched GET proceeds without CORS headers, or ends in an empty 200",
    source=SOURCE,
)
async def test_another_origin_is_served_without_a_grant_or_not_at_all(staged: Staged) -> None:
    stage = staged(api=section(inbound="<base/>" + policy()))
    answer = await stage.ask(headers={"Origin": "https://evil.test"})
    assert (answer.body, granted(answer)) == (b"from afar", {})
    strict = staged(
        api=section(inbound="<base/>" + policy(attributes='terminate-unmatched-request="true"'))
    )
    answer = await strict.ask(headers={"Origin": "https://evil.test"})
    assert (answer.status, answer.body, granted(answer)) == (200, b"", {})
    assert (await strict.ask()).body == b"from afar"


async def test_without_cors_a_preflight_is_granted_nothing(staged: Staged) -> None:
    answer = await preflight(staged(), SHOP)
    assert (answer.status, granted(answer)) == (200, {})


async def test_credentials_are_granted_to_named_origins_only(staged: Staged) -> None:
    attributes = 'allow-credentials="true" terminate-unmatched-request="false"'
    answer = await preflight(staged(api=section(inbound=policy(attributes=attributes))), SHOP)
    assert granted(answer)["Access-Control-Allow-Credentials"] == "true"
    everyone = policy(attributes=attributes).replace(
        f"<origin>{SHOP}</origin><origin>http://localhost:3000/</origin>", "<origin>*</origin>"
    )
    with pytest.raises(PolicyFault, match="credentials are not for every origin"):
        staged(api=section(inbound=everyone))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (SHOP, "shop.test"),
        (SHOP, "https://shop.test/path"),
        (SHOP, "*"),
        ("<header>Authorization</header><header>If-Match</header>", ""),
        ("allowed-headers", "allowed-heads"),
        (' terminate-unmatched-request="false"', ""),
    ],
)
def test_a_cors_policy_that_says_nothing_clear_is_refused(
    staged: Staged, old: str, new: str
) -> None:
    with pytest.raises(PolicyFault):
        staged(api=section(inbound=policy().replace(old, new)))


def test_headers_of_an_answer_are_latin_1_pairs() -> None:
    headers = Headers.of([("X-One", "a"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2")])
    assert headers.to_asgi() == [(b"x-one", b"a"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    for bad in ("a\r\nX-Evil: 1", "a\nb", "a\0", "\u0142"):
        with pytest.raises(ValueError, match=r"line break|latin-1"):
            headers.set("X-One", bad)
    with pytest.raises(ValueError, match="token"):
        headers.add("X One", "a")
    assert headers.get("x-one") == "a"
