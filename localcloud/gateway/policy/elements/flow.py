"""What runs, how often, and what is told of it: `choose`, `retry`, `trace`."""

import asyncio
import random
from collections.abc import Awaitable

from localcloud.gateway.policy.building import Block, Builder, Step, check
from localcloud.gateway.policy.context import Context, Response
from localcloud.gateway.policy.expressions import Run
from localcloud.gateway.policy.faults import Refusal
from localcloud.gateway.policy.headers import Headers
from localcloud.gateway.policy.xml import Element

_MOST_RETRIES = 50


def choose(element: Element, builder: Builder) -> Step:
    """The first `when` whose condition holds, or else `otherwise`.

    Source: https://learn.microsoft.com/azure/api-management/choose-policy
    """
    check(element, children=("when", "otherwise"))
    branches: list[tuple[Run, Block]] = []
    otherwise: Block | None = None
    for child in element.children:
        if otherwise is not None:
            raise child.fault("<otherwise> is the last branch")
        if child.tag == "when":
            check(child, required=("condition",), children=None)
            block = builder.block(child, f"{builder.at}/when[{len(branches) + 1}]")
            branches.append((builder.condition(child), block))
        else:
            check(child, children=None)
            otherwise = builder.block(child, f"{builder.at}/otherwise")
    if not branches:
        raise element.fault("<choose> needs a <when>")

    def step(context: Context) -> Awaitable[None] | None:
        for holds, block in branches:
            if holds(context):
                return block.start(context)
        return otherwise.start(context) if otherwise is not None else None

    return step


def retry(element: Element, builder: Builder) -> Step:
    """Runs its policies again while the condition holds; a failed attempt counts as the 500 it is.

    Source: https://learn.microsoft.com/azure/api-management/retry-policy
    """
    check(
        element,
        required=("condition", "count", "interval"),
        optional=("delta", "max-interval", "first-fast-retry"),
        children=None,
    )
    again = builder.condition(element)
    count = builder.number(element, "count", None, 1, _MOST_RETRIES)
    waits = _waits(element, builder, count)
    block = builder.block(element, builder.at)
    if not len(block):
        raise element.fault("<retry> needs a policy to repeat")

    async def step(context: Context) -> None:
        for wait_s in waits:
            failure = await _attempt(block, context)
            if not again(context):
                if failure is not None:
                    raise failure
                return
            context.last_error = None
            if context.response is not None:
                await context.response.discard()
            if wait_s:
                await asyncio.sleep(wait_s)
        await block.run(context)

    return step


async def _attempt(block: Block, context: Context) -> Refusal | None:
    try:
        await block.run(context)
    except Refusal as failure:
        context.last_error = failure
        context.response = Response(failure.status, Headers())
        return failure
    return None


def _waits(element: Element, builder: Builder, count: int) -> list[float]:
    """Seconds before each retry: fixed, linear or exponential, by the attributes that are there."""
    interval = builder.number(element, "interval", None, 0, 3600)
    delta = builder.number(element, "delta", 0, 0, 3600)
    longest = builder.number(element, "max-interval", 0, 0, 3600)
    fast = builder.flag(element, "first-fast-retry", default=False)
    if longest and not delta:
        raise element.fault("max-interval needs delta")
    waits: list[float] = []
    for attempt in range(count):
        if longest:
            spread = delta * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
            waits.append(min(longest, interval + (2**attempt - 1) * spread))
        else:
            waits.append(interval + attempt * delta)
    return [0.0, *waits[:-1]] if fast else waits


def trace(element: Element, builder: Builder) -> Step:
    """A line in the log with named facts.

    Source: https://learn.microsoft.com/azure/api-management/trace-policy
    """
    check(element, required=("source",), optional=("severity",), children=("message", "metadata"))
    source = builder.attribute(element, "source")
    severity = builder.choice(element, "severity", "verbose", "verbose", "information", "error")
    messages = builder.texts(element, "message")
    if len(messages) != 1:
        raise element.fault("<trace> needs one <message>")
    message = messages[0].run
    metadata: dict[str, Run] = {}
    for child in element.named("metadata"):
        check(child, required=("name", "value"))
        metadata[builder.attribute(child, "name")] = builder.value(
            child, child.attributes["value"]
        ).run

    def step(context: Context) -> None:
        facts = {name: run(context) or "" for name, run in metadata.items()}
        context.services.trace(context, source, severity, message(context), facts)

    return step
