"""Calls to what may be slow or broken: tried again, but never for longer than is worth it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable


class DeadlineExceeded(Exception):
    """The time that the work was worth is over; it may or may not have taken effect."""


async def retrying[T](
    call: Callable[[], Awaitable[T]],
    *,
    attempts: int,
    on: tuple[type[Exception], ...],
    first_delay_s: float,
    longest_delay_s: float = 10.0,
) -> T:
    """The result of `call`, made up to `attempts` times while it raises one of `on`.

    Pauses start at up to `first_delay_s`, double each time and are jittered, so that many callers
    do not come back at once. Raises what the last attempt raised.
    """
    from tenacity import (  # noqa: PLC0415 - not needed before the first call to a partner
        AsyncRetrying,
        retry_if_exception_type,
        stop_after_attempt,
        wait_random_exponential,
    )

    policy = AsyncRetrying(
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=first_delay_s, max=longest_delay_s),
        retry=retry_if_exception_type(on),
        reraise=True,
    )
    return await policy(call)


@contextlib.asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Cancels what runs inside after `seconds` and raises DeadlineExceeded instead."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError as fault:
        if limit.expired():
            raise DeadlineExceeded(f"no answer within {seconds} s") from fault
        raise
