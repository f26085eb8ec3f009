"""Lets the guard answer for the app: it holds a copy of every connection and outlives the app.

A request whose function ends the process would otherwise get no answer at all, and so would all
others under way. The app's half tells the guard of each connection, once, and marks in shared
memory those that wait for an answer, which costs a request next to nothing.
"""

import contextlib
import socket
import struct
from mmap import mmap

UNTIED = 0
"""The slot of connections that the guard does not know: its mark means nothing."""
_NUMBER = struct.Struct("<i")
_ANSWER = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Lifelines:
    """The app's half."""

    def __init__(self, channel: socket.socket, marks: mmap) -> None:
        self.marks = marks
        """By slot: 1 while a request waits for its answer and nothing of that was sent."""
        self._channel = channel
        self._free = list(range(1, len(marks)))

    def tie(self, descriptor: int) -> int:
        """Hand the guard a copy of a connection; its slot, or UNTIED when there is no room."""
        if not self._free:
            return UNTIED
        slot = self._free.pop()
        try:
            socket.send_fds(self._channel, [_NUMBER.pack(slot)], [descriptor], socket.MSG_DONTWAIT)
        except OSError:
            self._free.append(slot)
            return UNTIED
        return slot

    def cut(self, slot: int) -> None:
        """Have the guard close its copy: only then does the other side see the end."""
        if slot == UNTIED:
            return
        self.marks[slot] = 0
        with contextlib.suppress(OSError):
            self._channel.send(_NUMBER.pack(-slot))
            self._free.append(slot)


class HeldConnections:
    """The guard's half, for one process of the app: it holds `most` connections at a time."""

    def __init__(self, most: int) -> None:
        self._marks = mmap(-1, most + 1)
        self.channel, self._other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._held: dict[int, socket.socket] = {}

    def for_the_app(self) -> Lifelines:
        """The other half, in the app's process."""
        self.channel.close()
        return Lifelines(self._other, self._marks)

    def for_the_guard(self) -> None:
        """Let go of the other half, so that its end can be seen."""
        self._other.close()

    def forget(self) -> None:
        """Let go of all that is held, in a new process of the app: it is not for that one."""
        for connection in self._held.values():
            connection.close()
        self.channel.close()

    def attend(self) -> bool:
        """Do what the app asks next; False when it will ask no more. Call when it has asked."""
        message, descriptors, _, _ = socket.recv_fds(self.channel, _NUMBER.size, 1)
        if not message:
            return False
        (number,) = _NUMBER.unpack(message)
        if descriptors:
            self._held[number] = socket.socket(fileno=descriptors[0])
        elif number < 0 and (connection := self._held.pop(-number, None)) is not None:
            connection.close()
        return True

    def answer(self) -> None:
        """Answer the requests that wait and close everything: the app is gone."""
        self.channel.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while self.attend():
                pass
        for slot, connection in self._held.items():
            with connection, contextlib.suppress(OSError):
                if self._marks[slot]:
                    connection.setblocking(False)
                    connection.send(_ANSWER)
                    connection.shutdown(socket.SHUT_WR)
                    # What stays unread would make the kernel drop the answer as well.
                    while connection.recv(65_536):
                        pass
        self._held.clear()
        self.channel.close()
        self._marks.close()
