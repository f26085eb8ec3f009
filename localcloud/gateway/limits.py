"""Rate limits in Valkey: exact sliding windows that all gateway processes share.

A window is a list of the times at which calls went through, oldest first. Calls older than the
period leave at the head, so a step costs the same however many calls are allowed. The time is the
server's: the clocks of gateway processes do not matter.
"""

import asyncio
import logging
import time

from localcloud.gateway.policy.services import Taken
from localcloud.gateway.valkey_line import Script, ValkeyFault, ValkeyLine

PREFIX = "gateway:limit:"
_PATIENCE_S = 1.0
_PAUSE_S = 1.0
"""How long nothing is asked of a server that did not answer."""
_TAKE = Script("""
local now = redis.call('TIME')
local micros = now[1] * 1000000 + now[2]
local calls, period = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000000
local oldest = redis.call('LINDEX', KEYS[1], 0)
while oldest and tonumber(oldest) <= micros - period do
    redis.call('LPOP', KEYS[1])
    oldest = redis.call('LINDEX', KEYS[1], 0)
end
local made = redis.call('LLEN', KEYS[1])
if made >= calls then
    if calls < 1 then return {0, 0, tonumber(ARGV[2])} end
    local leaves = tonumber(redis.call('LINDEX', KEYS[1], made - calls)) + period
    return {0, 0, math.ceil((leaves - micros) / 1000000)}
end
redis.call('RPUSH', KEYS[1], string.format('%.0f', micros))
redis.call('PEXPIRE', KEYS[1], period / 1000)
return {1, calls - made - 1, 0}
""")

_log = logging.getLogger(__name__)


class SharedLimits:
    """Sliding windows in Valkey. With Valkey away every call goes through, and the log says so."""

    def __init__(self, url: str) -> None:
        self._line = ValkeyLine(url)
        self._not_before = 0.0

    async def take(self, key: str, calls: int, period_s: int) -> Taken:
        """Count one call under `key` unless `calls` were made within `period_s`; never raises."""
        if time.monotonic() < self._not_before:
            return Taken(True, calls, 0)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                allowed, left, wait_s = await self._line.evaluate(
                    _TAKE, (PREFIX + key).encode("utf-8"), b"%d" % calls, b"%d" % period_s
                )
        except (ValkeyFault, OSError, TimeoutError) as fault:
            self._not_before = time.monotonic() + _PAUSE_S
            _log.warning("rate limits are not enforced: Valkey does not answer: %r", fault)
            return Taken(True, calls, 0)
        return Taken(bool(allowed), left, wait_s)

    def close(self) -> None:
        """Give the connection back."""
        self._line.close()
