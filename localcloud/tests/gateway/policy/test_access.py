"""`check-header`, `ip-filter`, `rate-limit-by-key`: who may come in, from where, how often."""

import pytest

from localcloud.gateway.policy import PolicyFault
from localcloud.tests.gateway.policy.stage import Staged, section

HEADER = "learn:azure/api-management/check-header-policy"
FILTER = "learn:azure/api-management/ip-filter-policy"
RATE = "learn:azure/api-management/rate-limit-by-key-policy"
ERRORS = "learn:azure/api-management/api-management-error-handling-policies"


def _check_header(values: str, *, ignore_case: str = "false") -> str:
    return section(
        inbound=f'<base/><check-header name="X-Door" failed-check-httpcode="403"'
        f' failed-check-error-message="No." ignore-case="{ignore_case}">{values}</check-header>'
    )


@pytest.mark.conforms(
    "check-header", "the header must be there, with one of the values", source=HEADER
)
@pytest.mark.parametrize(
    ("sent", "ignore_case", "reason"),
    [
        (None, "false", "HeaderNotFound"),
        ("", "false", "HeaderNotFound"),
        ("other", "false", "HeaderValueNotAllowed"),
        ("ONE", "false", "HeaderValueNotAllowed"),
        ("ONE", "true", None),
        ("two", "false", None),
    ],
)
async def test_check_header(
    staged: Staged, sent: str | None, ignore_case: str, reason: str | None
) -> None:
    stage = staged(
        api=_check_header("<value>one</value><value>two</value>", ignore_case=ignore_case)
    )
    context = stage.context(headers={} if sent is None else {"X-Door": sent})
    answer = await stage.run(context)
    assert answer.status == (200 if reason is None else 403)
    assert (context.last_error.reason if context.last_error else None) == reason


async def test_check_header_without_values_wants_any(staged: Staged) -> None:
    stage = staged(api=_check_header(""))
    assert (await stage.ask(headers={"X-Door": "whatever"})).status == 200
    assert (await stage.ask()).status == 403


def _ip_filter(action: str, inner: str) -> str:
    return section(inbound=f'<base/><ip-filter action="{action}">{inner}</ip-filter>')


RANGES = (
    "<address>192.0.2.1</address>"
    '<address-range from="10.0.0.5" to="10.0.1.0"/>'
    '<address-range from="2001:db8::1" to="2001:db8::ff"/>'
)


@pytest.mark.conforms("ip-filter", "allow lets in only the addresses and ranges", source=FILTER)
@pytest.mark.parametrize(
    ("ip", "inside"),
    [
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("10.0.0.4", False),
        ("10.0.0.5", True),
        ("10.0.0.255", True),
        ("10.0.1.0", True),
        ("10.0.1.1", False),
        ("::ffff:10.0.0.9", True),
        ("2001:db8::fe", True),
        ("2001:db8::100", False),
        ("::1", False),
    ],
    ids=lambda value: str(value).replace(":", "-"),
)
async def test_ip_filter(staged: Staged, ip: str, inside: bool) -> None:
    allow = await staged(api=_ip_filter("allow", RANGES)).ask(ip=ip)
    assert allow.status == (200 if inside else 403)
    forbid = await staged(api=_ip_filter("forbid", RANGES)).ask(ip=ip)
    assert forbid.status == (403 if inside else 200)


@pytest.mark.conforms("ip-filter", "an address that cannot be read is refused", source=ERRORS)
async def test_an_address_that_is_none_is_refused_whatever_the_action(staged: Staged) -> None:
    for action in ("allow", "forbid"):
        stage = staged(api=_ip_filter(action, RANGES))
        context = stage.context(ip="unknown")
        assert (await stage.run(context)).status == 403
        assert context.last_error is not None
        assert context.last_error.reason == "FailedToParseCallerIP"


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<address>10.0.0</address>",
        '<address-range from="10.0.0.9" to="10.0.0.1"/>',
        '<address-range from="10.0.0.9" to="::1"/>',
        "<address>@(context.Request.IpAddress)</address>",
        "<address>10.0.0.0/8</address>",
    ],
)
def test_an_ip_filter_with_something_else_than_ranges_is_refused(
    staged: Staged, inner: str
) -> None:
    with pytest.raises(PolicyFault):
        staged(api=_ip_filter("allow", inner))


LIMIT = (
    '<rate-limit-by-key calls="2" renewal-period="60" counter-key="@(&quot;who:&quot; +'
    ' context.Request.Headers.GetValueOrDefault(&quot;X-Who&quot;, &quot;&quot;))"'
    ' remaining-calls-header-name="RateLimit-Remaining" total-calls-header-name="RateLimit-Limit"'
    ' retry-after-variable-name="wait" remaining-calls-variable-name="left"/>'
)


@pytest.mark.conforms(
    "rate-limit-by-key",
    "when the rate is exceeded, the caller receives 429 with Retry-After",
    source=RATE,
)
async def test_the_call_above_the_limit_is_refused_and_told_when_to_come_back(
    staged: Staged,
) -> None:
    stage = staged(api=section(inbound="<base/>" + LIMIT))
    left = []
    for _ in range(2):
        answer = await stage.ask(headers={"X-Who": "ada"})
        left.append((answer.status, answer.headers.get("RateLimit-Remaining")))
        assert answer.headers.get("RateLimit-Limit") == "2"
    assert left == [(200, "1"), (200, "0")]
    context = stage.context(headers={"X-Who": "ada"})
    answer = await stage.run(context)
    assert (answer.status, answer.headers.get("Retry-After")) == (429, "17")
    assert (context.variables["wait"], context.variables["left"]) == (17, 0)
    assert context.last_error is not None
    assert (context.last_error.source, context.last_error.reason) == (
        "rate-limit-by-key",
        "RateLimitExceeded",
    )
    assert len(stage.services.upstream.sent) == 2
    assert (await stage.ask(headers={"X-Who": "bob"})).status == 200


@pytest.mark.conforms(
    "rate-limit-by-key",
    "For each key value, a single counter is used for all scopes",
    source=RATE,
)
async def test_one_key_is_one_counter_wherever_it_is_counted(staged: Staged) -> None:
    stage = staged(api=section(inbound="<base/>" + LIMIT + LIMIT))
    assert (await stage.ask(headers={"X-Who": "ada"})).status == 200
    assert (await stage.ask(headers={"X-Who": "ada"})).status == 429
    assert set(stage.services.limits.asked) == {("who:ada", 2, 60)}


@pytest.mark.parametrize(
    ("attributes", "fault"),
    [
        ('calls="0" renewal-period="60" counter-key="a"', "calls is a whole number from 1"),
        ('calls="1" renewal-period="301" counter-key="a"', "renewal-period is a whole number"),
        ('calls="many" renewal-period="60" counter-key="a"', "calls is a whole number"),
        ('calls="1" renewal-period="60"', "needs counter-key"),
        (
            'calls="1" renewal-period="60" counter-key="a" increment-count="2"',
            "no attribute increment-count",
        ),
    ],
)  # fmt: skip
def test_a_limit_that_is_none_is_refused(staged: Staged, attributes: str, fault: str) -> None:
    with pytest.raises(PolicyFault) as refused:
        staged(api=section(inbound=f"<rate-limit-by-key {attributes}/>"))
    assert fault in str(refused.value)
