"""Sessions end at once and for good, whatever becomes of Redis."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from blueprints.sessions import repository
from blueprints.sessions import service as service_module
from shared.auth import Caller, Ended
from shared.auth import session_scripts as scripts
from shared.problem import NotFound, SessionEnded
from tests.integration.sessions.conftest import Door, client

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
NOW = int(time.time())
type Loss = Callable[[Door], Awaitable[None]]


async def is_in(door: Door, caller: Caller) -> bool:
    try:
        await door.registry.admit(caller, FIREFOX)
    except SessionEnded:
        return False
    return True


async def nothing_lost(_door: Door) -> None:
    pass


async def flushed(door: Door) -> None:
    await door.redis.flushall()


async def away(door: Door) -> None:
    door.valkey.kill()


@pytest.fixture(params=[nothing_lost, flushed, away])
async def loss(request: pytest.FixtureRequest, door: Door) -> Loss:
    """What happens to Redis after a sign-out. It is there again in the next test."""
    if door.valkey._process is None:
        door.valkey.start()
    lose: Loss = request.param
    return lose


@pytest.fixture(autouse=True)
async def there(door: Door) -> None:
    if door.valkey._process is None:
        door.valkey.start()


async def test_a_session_that_was_ended_is_over_at_once_and_the_others_go_on(
    door: Door, loss: Loss
) -> None:
    laptop, phone = client(), client()
    phone = Caller("client", laptop.id, session=phone.session, signed_in_at=5)
    assert [await is_in(door, laptop), await is_in(door, phone)] == [True, True]

    assert phone.session is not None
    await door.service.end(laptop, phone.session)
    await loss(door)

    assert [await is_in(door, laptop), await is_in(door, phone)] == [True, False]


async def test_signing_out_everywhere_ends_sessions_that_nobody_has_seen_as_well(
    door: Door, loss: Loss
) -> None:
    here = client()
    unseen = client(here.id)
    unnamed = Caller("client", here.id, issued_at=NOW - 10)
    stranger, later = client(), client(here.id, signed_in_at=NOW + 3600)
    assert await is_in(door, here)

    await door.service.end_all(here)
    await loss(door)

    over = [await is_in(door, one) for one in (here, unseen, unnamed)]
    assert over == [False, False, False]
    assert [await is_in(door, stranger), await is_in(door, later)] == [True, True]


async def test_a_session_whose_directory_is_ahead_of_our_clock_ends_with_the_others(
    door: Door,
) -> None:
    here, ahead = client(), client(signed_in_at=NOW + 3600)
    ahead = Caller("client", here.id, session=ahead.session, signed_in_at=NOW + 3600)
    assert await is_in(door, ahead)

    await door.service.end_all(here)

    assert not await is_in(door, ahead)


async def test_a_sign_out_while_redis_is_away_is_told_when_it_is_back(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "TOLD_AGAIN_AFTER_S", 0.02)
    caller = client()
    assert caller.session is not None
    door.valkey.kill()

    await door.service.end(caller, caller.session)
    assert not await is_in(door, caller)
    door.valkey.start()

    async def told() -> bool:
        ended = await door.redis.hget(scripts.keys(caller.id)[1], str(caller.session))
        return ended == "e" and await door.redis.xlen("{live}:feed") == 1

    give_up_at = time.monotonic() + 30
    while not await told():
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.02)


async def test_redis_s_word_that_a_session_goes_on_counts_for_a_minute(door: Door) -> None:
    caller = client()
    assert caller.session is not None
    assert await is_in(door, caller)
    _, ended, _ = scripts.keys(caller.id)
    asked_at = int(await door.redis.hget(ended, str(caller.session)) or 0)
    # Somebody's copy of Redis that has not heard of the sign-out.
    async with door.database.transaction() as tx:
        await repository.end(tx, caller.id, [caller.session])
    assert await is_in(door, caller)

    await door.redis.hset(ended, str(caller.session), str(asked_at - scripts.KNOWN_FOR_S))

    assert not await is_in(door, caller)
    assert await door.redis.hget(ended, str(caller.session)) == "e"


async def test_an_ending_is_never_taken_back_by_who_asked_the_truth_before(door: Door) -> None:
    caller = client()
    assert caller.session is not None
    await door.service.end_all(caller)

    # What one who asked before the sign-out tells after it.
    assert await door.registry.tell(caller.id, {caller.session: False}, None)
    assert await door.registry.tell(caller.id, {uuid4(): False}, 5)

    assert not await is_in(door, caller)
    assert not await is_in(door, client(caller.id))


async def test_the_truth_tells_what_was_ended_and_until_when(door: Door) -> None:
    caller, session = client(), uuid4()
    assert await door.sign_outs.of(caller.id, session) == Ended(session=False, until=None)
    await door.service.end_all(caller)
    truth = await door.sign_outs.of(caller.id, caller.session)
    assert truth.session
    assert truth.until is not None
    assert abs(truth.until - time.time()) < 60
    assert await door.sign_outs.of(caller.id, session) == Ended(session=False, until=truth.until)
    assert await door.sign_outs.of(uuid4(), caller.session) == Ended(session=False, until=None)


async def test_a_person_sees_where_he_is_signed_in(door: Door) -> None:
    laptop = client(signed_in_at=1_700_000_000)
    script = Caller("client", laptop.id, session=uuid4(), signed_in_at=1_700_000_001)
    await door.registry.admit(laptop, FIREFOX)
    await door.registry.admit(script, "curl/8.5.0")
    await door.registry.admit(client(), FIREFOX)

    listed = await door.service.list(script)

    assert listed.complete
    assert {
        (one.id, one.device, int(one.signed_in_at.timestamp()), one.current) for one in listed.items
    } == {
        (laptop.session, "Firefox on Windows", 1_700_000_000, False),
        (script.session, "Unknown device", 1_700_000_001, True),
    }
    assert all(abs(one.last_seen_at.timestamp() - time.time()) < 60 for one in listed.items)


async def test_sessions_that_are_over_or_were_not_used_for_a_day_are_not_listed(door: Door) -> None:
    here, ended, old = client(), client(), client()
    ended = Caller("client", here.id, session=ended.session, signed_in_at=5)
    for caller in (here, ended):
        await door.registry.admit(caller, FIREFOX)
    yesterday = f"{NOW - 86_500}|5|Firefox"
    await door.redis.hset(scripts.keys(here.id)[2], str(old.session), yesterday)
    assert ended.session is not None
    await door.service.end(here, ended.session)

    assert [one.id for one in (await door.service.list(here)).items] == [here.session]


async def test_without_redis_a_person_sees_only_the_session_that_asks(door: Door) -> None:
    here = client()
    await door.registry.admit(here, FIREFOX)
    door.valkey.kill()

    listed = await door.service.list(here)

    assert not listed.complete
    assert [(one.id, one.current) for one in listed.items] == [(here.session, True)]


async def test_nobody_ends_a_session_that_is_not_known_as_his(door: Door) -> None:
    here, other = client(), client()
    await door.registry.admit(other, FIREFOX)
    assert other.session is not None

    with pytest.raises(NotFound):
        await door.service.end(here, other.session)

    assert await is_in(door, other)
    assert await door.sign_outs.of(here.id, other.session) == Ended()
    assert await door.sign_outs.of(other.id, other.session) == Ended()


async def test_ending_a_session_again_changes_nothing(door: Door) -> None:
    here, phone = client(), client()
    phone = Caller("client", here.id, session=phone.session, signed_in_at=5)
    await door.registry.admit(phone, None)
    assert phone.session is not None
    await door.service.end(here, phone.session)
    await door.service.end(here, phone.session)
    assert not await is_in(door, phone)


async def test_only_fifty_sessions_of_a_person_are_remembered(door: Door) -> None:
    person = uuid4()
    for _ in range(scripts.SEEN_MAX + 5):
        employee = Caller("employee", person, session=uuid4(), signed_in_at=5)
        await door.redis.delete(scripts.keys(person)[0])
        await door.registry.admit(employee, None)
    assert await door.redis.hlen(scripts.keys(person)[2]) == scripts.SEEN_MAX


async def test_what_redis_knows_of_endings_does_not_grow_without_end(door: Door) -> None:
    person = uuid4()
    _, ended, _ = scripts.keys(person)
    await door.redis.hset(ended, items=[text for n in range(501) for text in (str(n), "1")])
    await door.redis.hset(ended, "*", "5")
    assert await door.registry.tell(person, {UUID(int=1): True}, None)
    assert await door.redis.hgetall(ended) == {"*": "5", str(UUID(int=1)): "e"}
    assert 86_000 < await door.redis.ttl(ended) <= 86_400


async def test_without_redis_nobody_is_limited_and_sign_outs_hold(door: Door) -> None:
    caller, gone = client(), client()
    assert gone.session is not None
    await door.service.end(gone, gone.session)
    door.valkey.kill()
    for _ in range(10):
        await door.registry.admit(caller, None)
    assert not await is_in(door, gone)


async def test_an_ended_session_is_told_so_before_anything_is_counted(door: Door) -> None:
    caller = client()
    await door.service.end_all(caller)
    for _ in range(5):
        assert not await is_in(door, caller)
    assert await door.redis.hgetall(scripts.keys(caller.id)[0]) == {}


async def test_sign_outs_that_no_token_can_outlive_are_forgotten(door: Door) -> None:
    long_ago, here = client(), client()
    assert long_ago.session is not None
    assert here.session is not None
    await door.service.end(long_ago, long_ago.session)
    async with door.database.transaction() as tx:
        await tx.execute(
            "UPDATE sessions.sign_outs SET ended_at = now() - interval '401 days'"
            " WHERE person_id = %s",
            (long_ago.id,),
        )
    await door.service.end(here, here.session)

    assert await door.sign_outs.of(long_ago.id, long_ago.session) == Ended()
    assert await door.sign_outs.of(here.id, here.session) == Ended(session=True)
