"""The state folder: who owns it, its secrets, and what a running cloud says about itself."""

import base64
import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil

_MARKER = "localcloud-state"
_ED25519_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
_CLOCK_TOLERANCE_S = 2.0
"""A process's start is counted from the boot time, which moves when the clock is set."""


class StateError(Exception):
    """The state folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class ProcessId:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """The identity of a process that exists. psutil.NoSuchProcess when it does not."""
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The live process, or None when it ended, even if its pid belongs to another one now."""
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.created) < _CLOCK_TOLERANCE_S
            if same and found.status() != psutil.STATUS_ZOMBIE:
                return found
        return None


@dataclass(frozen=True)
class PartRecord:
    """What is known of one part at the time of writing; `process` is None while it does not run."""

    name: str
    state: str
    ports: Mapping[str, int]
    log: str
    process: ProcessId | None = None
    restarts: int = 0
    note: str = ""


@dataclass(frozen=True)
class CloudRecord:
    """A running cloud as others see it: the content of `cloud.json`."""

    state: str
    supervisor: ProcessId
    ports: Mapping[str, int]
    urls: Mapping[str, str]
    environment: Mapping[str, str]
    parts: list[PartRecord] = field(default_factory=list)
    broker_host: str = ""
    """Where the broker takes tokens; empty unless the cloud is keyless."""

    def alive(self) -> bool:
        return self.supervisor.process() is not None


@dataclass(frozen=True)
class Secrets:
    """Passwords and keys of this state folder; made once, they never leave the machine."""

    postgres: str
    platform: str
    platform_app: str
    durable: str
    servicebus: str
    eventgrid: str
    communication: str
    address_digest: str
    audit_anchor: str

    @classmethod
    def fresh(cls) -> Self:
        # What stands in URLs needs no escaping there; Azure's own keys are base64.
        return cls(
            postgres=secrets.token_urlsafe(24),
            platform=secrets.token_urlsafe(24),
            platform_app=secrets.token_urlsafe(24),
            durable=secrets.token_urlsafe(24),
            servicebus=_key(),
            eventgrid=_key(),
            communication=_key(),
            address_digest=_key(),
            audit_anchor=_signing_key(),
        )


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _signing_key() -> str:
    """An Ed25519 private key: PKCS #8 (RFC 8410 §7) in base64, which is a PEM file's middle."""
    return base64.b64encode(_ED25519_PKCS8 + secrets.token_bytes(32)).decode()


class StateFolder:
    """One folder that holds everything the local cloud keeps."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    @property
    def record_file(self) -> Path:
        return self.path / "cloud.json"

    @property
    def servicebus_key_file(self) -> Path:
        return self.path / "secrets" / "servicebus.key"

    @property
    def servicebus_certificate(self) -> Path:
        """What clients of the broker's administration API trust; its key lies beside it."""
        return self.path / "secrets" / "servicebus-tls.pem"

    def log_file(self, part: str) -> Path:
        return self.path / "logs" / f"{part}.log"

    def folder(self, part: str) -> Path:
        """The folder in which a part keeps its data; made when missing."""
        made = self.path / part
        made.mkdir(mode=0o700, exist_ok=True)
        return made

    def create(self) -> None:
        """Make the folder when missing. StateError when something else lives there."""
        if self.path.exists() and not self.is_ours() and any(self.path.iterdir()):
            raise StateError(f"{self.path} holds other files; choose an empty folder with --state")
        try:
            # Others may pass through (the database's own user must) but not look around.
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o711)
            (self.path / "logs").mkdir(mode=0o700, exist_ok=True)
            (self.path / "secrets").mkdir(mode=0o700, exist_ok=True)
            (self.path / _MARKER).touch()
        except OSError as refusal:
            raise StateError(f"cannot write to {self.path}: {refusal.strerror}") from refusal

    def is_ours(self) -> bool:
        return (self.path / _MARKER).is_file()

    def acquire(self) -> None:
        """Become the folder's only supervisor until `release` or death. StateError if there is one.

        The kernel drops the lock with its process, however that ends: it is never stale.
        """
        try:
            lock = os.open(self.path / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as refusal:
            raise StateError(f"cannot write to {self.path}: {refusal.strerror}") from refusal
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            pid = os.read(lock, 32).decode() or "unknown"
            os.close(lock)
            raise StateError(
                f"a local cloud already runs on {self.path} (pid {pid}): "
                "`python -m localcloud status` shows it, `python -m localcloud down` stops it"
            ) from taken
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        self._lock = lock

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def secrets(self) -> Secrets:
        """The folder's secrets, each made at the first call that needs it."""
        file = self.path / "secrets" / "secrets.json"
        stored = json.loads(file.read_text()) if file.exists() else {}
        complete = asdict(Secrets.fresh()) | stored
        if complete != stored:
            write_private(file, json.dumps(complete, indent=2))
        write_private(self.servicebus_key_file, complete["servicebus"])
        return Secrets(**complete)

    def write(self, record: CloudRecord) -> None:
        write_private(self.record_file, json.dumps(asdict(record), indent=2))

    def read(self) -> CloudRecord | None:
        """What the last supervisor wrote, alive or not; None when there is nothing readable."""
        try:
            data: dict[str, Any] = json.loads(self.record_file.read_text())
            parts = [
                PartRecord(**part | {"process": ProcessId(**part["process"])})
                if part["process"]
                else PartRecord(**part)
                for part in data["parts"]
            ]
            supervisor = ProcessId(**data["supervisor"])
        except (OSError, ValueError, KeyError, TypeError):
            return None  # written by another version, or a first start that was cut off
        return CloudRecord(**data | {"parts": parts, "supervisor": supervisor})

    def running(self) -> CloudRecord | None:
        """The record of a cloud whose supervisor lives, else None."""
        record = self.read()
        return record if record and record.alive() else None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps supervisors away meanwhile. StateError when one runs or the folder is not ours."""
        if not self.is_ours():
            raise StateError(f"{self.path} is not a state folder of the local cloud")
        self.acquire()
        try:
            yield
        finally:
            self.release()


def write_private(file: Path, text: str) -> None:
    """Replace `file` in one step, readable by its owner alone."""
    scratch = file.with_suffix(f".{os.getpid()}.{time.monotonic_ns()}.tmp")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as writer:
        writer.write(text)
    scratch.replace(file)
