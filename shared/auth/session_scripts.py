"""What Redis does for sessions, in scripts: each is one round trip and nothing comes in between.

Keys of a person, under one hash tag so that a cluster keeps them together:

calls   slot of five seconds → requests that were admitted in it
ended   session → `e` if it ended, else when the truth was asked last; `*` → every sign-in up to
        that second is over; the session without an id is the empty name
seen    session → `last seen|signed in|device`
"""

from uuid import UUID

from shared.cache import Script

ADMITTED, UNKNOWN, ENDED, LIMITED = range(4)
"""The first number of ADMIT's answer; the second is after how many seconds to come back."""

KNOWN_FOR_S = 60
"""How long Redis's word counts that a session has not ended.

A sign-out tells Redis at once. Only one that could not, or one that a restored copy of Redis has
forgotten, is found out by asking again.
"""
SLOT_S = 5
SLOTS = 60 // SLOT_S
"""Requests of the running slot and so many before it count: 60 seconds at least, 65 at most, so
that in no 60 seconds more get through than the limit."""
NOTED_EVERY_S = 60
SEEN_MAX = 50
ENDED_MAX = 500


def keys(person_id: UUID) -> tuple[str, str, str]:
    """The keys of a person: calls, ended, seen."""
    tag = f"auth:{{{person_id}}}"
    return f"{tag}:calls", f"{tag}:ended", f"{tag}:seen"


# ARGV: session, signed in at, limit, seconds to keep things, what to note of the session.
ADMIT = Script(f"""
local now = tonumber(redis.call('TIME')[1])
local ended = redis.call('HMGET', KEYS[2], '*', ARGV[1])
if ended[2] == 'e' or (ended[1] and tonumber(ARGV[2]) <= tonumber(ended[1])) then
    return {{{ENDED}, 0}}
end
local limit = tonumber(ARGV[3])
if limit > 0 then
    local slot = math.floor(now / {SLOT_S})
    local calls = redis.call('HGETALL', KEYS[1])
    local sum, oldest = 0, slot
    for at = 1, #calls, 2 do
        local of = tonumber(calls[at])
        if of < slot - {SLOTS} then
            redis.call('HDEL', KEYS[1], calls[at])
        else
            sum = sum + tonumber(calls[at + 1])
            oldest = math.min(oldest, of)
        end
    end
    if sum >= limit then
        return {{{LIMITED}, (oldest + {SLOTS + 1}) * {SLOT_S} - now}}
    end
    if redis.call('HINCRBY', KEYS[1], slot, 1) == 1 then
        redis.call('EXPIRE', KEYS[1], {60 + 2 * SLOT_S})
    end
end
if ARGV[1] ~= '' then
    local noted = redis.call('HGET', KEYS[3], ARGV[1])
    if not noted or now - tonumber(string.match(noted, '^%d+')) >= {NOTED_EVERY_S} then
        redis.call('HSET', KEYS[3], ARGV[1], now .. '|' .. ARGV[5])
        redis.call('EXPIRE', KEYS[3], ARGV[4])
    end
    if not noted and redis.call('HLEN', KEYS[3]) > {SEEN_MAX} then
        local all, oldest, at = redis.call('HGETALL', KEYS[3]), nil, now + 1
        for index = 1, #all, 2 do
            local seen = tonumber(string.match(all[index + 1], '^%d+'))
            if seen < at then oldest, at = all[index], seen end
        end
        redis.call('HDEL', KEYS[3], oldest)
    end
end
if ended[2] and now - tonumber(ended[2]) < {KNOWN_FOR_S} then
    return {{{ADMITTED}, 0}}
end
return {{{UNKNOWN}, 0}}
""")

# ARGV: until when sign-ins are over or '', seconds to keep things; per session its id, '1' or '0'.
TELL = Script(f"""
if redis.call('HLEN', KEYS[2]) > {ENDED_MAX} then
    local everywhere = redis.call('HGET', KEYS[2], '*')
    redis.call('DEL', KEYS[2])
    if everywhere then redis.call('HSET', KEYS[2], '*', everywhere) end
end
if ARGV[1] ~= '' then
    local before = redis.call('HGET', KEYS[2], '*')
    if not before or tonumber(before) < tonumber(ARGV[1]) then
        redis.call('HSET', KEYS[2], '*', ARGV[1])
    end
end
local now = redis.call('TIME')[1]
for at = 3, #ARGV, 2 do
    if ARGV[at + 1] == '1' then
        redis.call('HSET', KEYS[2], ARGV[at], 'e')
        redis.call('HDEL', KEYS[3], ARGV[at])
    elseif redis.call('HGET', KEYS[2], ARGV[at]) ~= 'e' then
        redis.call('HSET', KEYS[2], ARGV[at], now)
    end
end
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
""")

# ARGV: how many seconds back. What has ended since by a sign-out everywhere is left out.
SEEN = Script("""
local since = tonumber(redis.call('TIME')[1]) - tonumber(ARGV[1])
local everywhere = tonumber(redis.call('HGET', KEYS[2], '*') or '-1')
local all, found = redis.call('HGETALL', KEYS[3]), {}
for at = 1, #all, 2 do
    local seen, signed_in = string.match(all[at + 1], '^(%d+)|(%d+)|')
    if tonumber(seen) >= since and tonumber(signed_in) > everywhere then
        found[#found + 1] = all[at]
        found[#found + 1] = all[at + 1]
    end
end
return found
""")
