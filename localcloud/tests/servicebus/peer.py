"""A bare AMQP peer that can also do what no SDK does: misbehave."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import quote_plus

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import message as wire
from localcloud.servicebus import performatives as amqp
from localcloud.servicebus.decoding import Described, decode
from localcloud.servicebus.frames import AMQP_HEADER, Frame, FrameReader, Header, frame
from localcloud.servicebus.message import Content
from localcloud.servicebus.performatives import Fields, read_performative
from localcloud.tests.servicebus.rig import KEY

TIMEOUT_S = 5.0


def sas(resource: str, *, key: str = KEY, expires_in_s: float = 600) -> str:
    """A shared access signature for a resource URI."""
    scope, expiry = quote_plus(resource), str(int(time.time() + expires_in_s))
    digest = hmac.new(key.encode(), f"{scope}\n{expiry}".encode(), hashlib.sha256).digest()
    signature = quote_plus(base64.b64encode(digest))
    name = "RootManageSharedAccessKey"
    return f"SharedAccessSignature sr={scope}&sig={signature}&se={expiry}&skn={name}"


class Peer:
    """One connection; `receive` returns what the broker sends, in order, heartbeats left out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._stream = reader
        self._writer = writer
        self._frames = FrameReader(1 << 24)
        self.heartbeats = 0
        self._cbs = 0

    @classmethod
    @asynccontextmanager
    async def connected(cls, port: int) -> AsyncIterator[Self]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def send(self, code: int, *fields: bytes, channel: int = 0, payload: bytes = b"") -> None:
        await self.write(frame(channel, enc.composite(code, fields) + payload))

    async def unit(self) -> Header | Frame | None:
        """The next header or frame; None once the broker has closed."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                unit = self._frames.next()
                if isinstance(unit, Frame) and not unit.body:
                    self.heartbeats += 1
                    continue
                if unit is not None:
                    return unit
                data = await self._stream.read(65_536)
                if not data:
                    return None
                self._frames.feed(data)

    async def ended(self) -> bool:
        """Whether the broker ends the stream, whatever it sends before."""
        async with asyncio.timeout(TIMEOUT_S):
            with contextlib.suppress(ConnectionError):
                while await self._stream.read(65_536):
                    pass
        return True

    async def receive(self, code: int) -> tuple[Fields, bytes]:
        """The fields and payload of the next frame, which must have this performative."""
        unit = await self.unit()
        assert isinstance(unit, Frame), unit
        found, fields, payload_at = read_performative(unit.body)
        assert found == code, f"{found:#x} came: {unit.body!r}"
        return fields, unit.body[payload_at:]

    async def skip_to(self, code: int) -> tuple[Fields, bytes]:
        """The next frame with this performative, whatever came before."""
        while True:
            unit = await self.unit()
            assert isinstance(unit, Frame), f"{unit} came instead of {code:#x}"
            found, fields, payload_at = read_performative(unit.body)
            if found == code:
                return fields, unit.body[payload_at:]

    def expect_header(self) -> None:
        self._frames.expect_header()

    async def open(self, *, max_frame_size: int = 65_536, idle_ms: int | None = None) -> Fields:
        """Open without SASL; the broker's open."""
        await self.write(AMQP_HEADER)
        idle = enc.NULL if idle_ms is None else enc.uint(idle_ms)
        name = enc.string("peer")
        await self.send(amqp.OPEN, name, enc.NULL, enc.uint(max_frame_size), enc.NULL, idle)
        assert await self.unit() == Header(AMQP_HEADER)
        fields, _ = await self.receive(amqp.OPEN)
        return fields

    async def begin(self, *, window: int = 1_000) -> None:
        await self.send(amqp.BEGIN, enc.NULL, enc.uint(0), enc.uint(window), enc.uint(window))
        await self.receive(amqp.BEGIN)

    async def attach(
        self, handle: int, address: str, *, receives: bool = False, settled: bool = False
    ) -> None:
        """Ask for a link; the answer is not awaited."""
        source = enc.composite(amqp.SOURCE, (enc.string(address),))
        target = enc.composite(amqp.TARGET, (enc.string(address),))
        fields = [enc.string(f"link-{handle}"), enc.uint(handle), enc.boolean(receives)]
        fields += [enc.ubyte(1 if settled else 0), enc.ubyte(1), source, target]
        if not receives:
            fields += [enc.NULL, enc.NULL, enc.uint(0)]
        await self.send(amqp.ATTACH, *fields)

    async def link(self, handle: int, address: str, *, receives: bool = False) -> None:
        """Ask for a link and see it accepted."""
        await self.attach(handle, address, receives=receives)
        fields, _ = await self.skip_to(amqp.ATTACH)
        assert fields.value(5) is not None, "the link was refused"
        if not receives:
            await self.receive(amqp.FLOW)

    async def credit(
        self,
        handle: int,
        credit: int,
        *,
        seen: int = 0,
        drain: bool = False,
        frames: int = 0,
        window: int = 1_000,
    ) -> None:
        """Give a link credit; it has had `seen` deliveries, and the session `frames` transfers."""
        session = [enc.uint(frames), enc.uint(window), enc.uint(0), enc.uint(1_000)]
        link = [enc.uint(handle), enc.uint(seen), enc.uint(credit), enc.NULL, enc.boolean(drain)]
        await self.send(amqp.FLOW, *session, *link)

    async def transfer(
        self, handle: int, delivery_id: int, payload: bytes, *, more: bool = False
    ) -> None:
        tag = enc.binary(delivery_id.to_bytes(4, "big"))
        fields = [enc.uint(handle), enc.uint(delivery_id), tag, enc.uint(0), enc.FALSE]
        await self.send(amqp.TRANSFER, *fields, enc.boolean(more), payload=payload)

    async def authorize(self, token: str, name: str) -> int:
        """Put a token for an entity over `$cbs`; the status of the answer."""
        if not self._cbs:
            await self.link(250, "$cbs")
            await self.link(251, "$cbs", receives=True)
        await self.credit(251, 100, seen=self._cbs)
        properties = {"operation": enc.string("put-token"), "name": enc.string(name)}
        await self.transfer(250, self._cbs, request(properties, enc.string(token)))
        self._cbs += 1
        _, payload = await self.skip_to(amqp.TRANSFER)
        status = Content.parse(payload).application_properties()["status-code"]
        assert isinstance(status, int)
        return status

    async def silent_for(self, seconds: float) -> bool:
        """Whether the broker sends nothing but heartbeats for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self.unit()
        except TimeoutError:
            return True
        return False

    async def closed_because(self) -> tuple[str, str]:
        """(condition, description) of the close that comes, after which the stream ends."""
        fields, _ = await self.skip_to(amqp.CLOSE)
        assert await self.unit() is None
        return error_of(fields, 0)


def error_of(fields: Fields, index: int) -> tuple[str, str]:
    error = fields.value(index)
    assert isinstance(error, Described), error
    details = Fields(error.value)
    return details.text(0) or "", details.text(1) or ""


def request(properties: dict[str, bytes], body: bytes) -> bytes:
    """An encoded request to a node."""
    return b"".join(
        (
            enc.composite(wire.PROPERTIES, (enc.string("request-1"),)),
            enc.described(wire.APPLICATION_PROPERTIES, enc.string_map(properties)),
            enc.described(wire.AMQP_VALUE, body),
        )
    )


def text_message(text: str, *more: bytes) -> bytes:
    """An encoded message with one data section."""
    return b"".join(more) + enc.described(wire.DATA, enc.binary(text.encode()))


def text_of(payload: bytes) -> str:
    """The data section of an encoded message."""
    for code, _, value_at, _ in wire.sections(payload):
        if code == wire.DATA:
            data, _ = decode(payload, value_at)
            assert isinstance(data, bytes)
            return data.decode()
    raise AssertionError(payload)
