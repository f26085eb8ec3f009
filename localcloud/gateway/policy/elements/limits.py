"""How often someone may call: `rate-limit-by-key`."""

from localcloud.gateway.policy.building import Builder, Step, check
from localcloud.gateway.policy.context import Context
from localcloud.gateway.policy.faults import Refusal
from localcloud.gateway.policy.xml import Element

_LONGEST_S = 300
_MOST_CALLS = 1_000_000


def rate_limit_by_key(element: Element, builder: Builder) -> Step:
    """At most `calls` within `renewal-period` seconds under one key, whichever policy counts it.

    Source: https://learn.microsoft.com/azure/api-management/rate-limit-by-key-policy
    """
    check(
        element,
        required=("calls", "renewal-period", "counter-key"),
        optional=(
            "remaining-calls-header-name",
            "remaining-calls-variable-name",
            "retry-after-header-name",
            "retry-after-variable-name",
            "total-calls-header-name",
        ),
    )
    calls = builder.number(element, "calls", None, 1, _MOST_CALLS)
    period_s = builder.number(element, "renewal-period", None, 1, _LONGEST_S)
    key = builder.value(element, element.attributes["counter-key"]).run
    remaining_header = builder.attribute(element, "remaining-calls-header-name")
    remaining_variable = builder.attribute(element, "remaining-calls-variable-name")
    total_header = builder.attribute(element, "total-calls-header-name")
    retry_header = builder.attribute(element, "retry-after-header-name", "Retry-After")
    retry_variable = builder.attribute(element, "retry-after-variable-name")

    async def step(context: Context) -> None:
        taken = await context.services.limits.take(key(context), calls, period_s)
        if remaining_variable:
            context.variables[remaining_variable] = taken.remaining
        if remaining_header:
            context.stamps.append((remaining_header, str(taken.remaining)))
        if total_header:
            context.stamps.append((total_header, str(calls)))
        if not taken.allowed:
            if retry_variable:
                context.variables[retry_variable] = taken.retry_after_s
            raise Refusal(
                source="rate-limit-by-key",
                reason="RateLimitExceeded",
                message=f"Rate limit is exceeded. Try again in {taken.retry_after_s} seconds.",
                status=429,
                headers={retry_header: str(taken.retry_after_s)},
            )

    return step
