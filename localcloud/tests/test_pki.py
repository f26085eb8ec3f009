"""The local cloud's certificate authority: kept, renewed, and believed by nobody else's clients."""

import socket
import ssl
import threading
from pathlib import Path

import pytest

from localcloud import pki


def _handshake(trusted: Path, certificate: tuple[Path, Path], name: str) -> str:
    """What a client that trusts `trusted` and asks for `name` sees: the subject's name."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificate)
    client = ssl.create_default_context(cafile=str(trusted))
    here, there = socket.socketpair()

    def answer() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as line:
                line.recv(1)
        except OSError:
            there.close()

    answering = threading.Thread(target=answer)
    answering.start()
    try:
        with client.wrap_socket(here, server_hostname=name) as line:
            found = line.getpeercert()
            assert found is not None
            line.send(b"x")
            subject: tuple[tuple[tuple[str, str], ...], ...] = found["subject"]  # type: ignore[assignment]
            return subject[0][0][1]
    finally:
        here.close()
        answering.join()


def test_a_client_that_trusts_the_authority_believes_its_servers(tmp_path: Path) -> None:
    authority = pki.authority(tmp_path)
    served = authority.certificate("cache", ["localhost", "127.0.0.1"])
    assert _handshake(authority.file, served, "127.0.0.1") == "cache"
    assert _handshake(authority.file, served, "localhost") == "cache"
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        _handshake(authority.file, served, "127.0.0.2")


def test_authority_and_certificates_are_kept(tmp_path: Path) -> None:
    first = pki.authority(tmp_path).certificate("cache", ["localhost"])
    made = [file.read_bytes() for file in first]
    again = pki.authority(tmp_path).certificate("cache", ["localhost"])
    assert [file.read_bytes() for file in again] == made
    assert [file.stat().st_mode & 0o777 for file in again] == [0o644, 0o600]


def test_another_host_means_another_certificate(tmp_path: Path) -> None:
    authority = pki.authority(tmp_path)
    first = authority.certificate("cache", ["localhost"])[0].read_bytes()
    second = authority.certificate("cache", ["localhost", "127.0.0.3"])
    assert second[0].read_bytes() != first
    assert _handshake(authority.file, second, "127.0.0.3") == "cache"


def test_another_authority_is_not_believed_and_its_certificates_are_replaced(
    tmp_path: Path,
) -> None:
    ours, theirs = pki.authority(tmp_path / "ours"), pki.authority(tmp_path / "theirs")
    served = theirs.certificate("cache", ["localhost"])
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        _handshake(ours.file, served, "localhost")
    for file in served:
        (ours.file.parent / file.name).write_bytes(file.read_bytes())
    assert _handshake(ours.file, ours.certificate("cache", ["localhost"]), "localhost") == "cache"


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    authority = pki.authority(tmp_path)
    certificate, key = authority.certificate("cache", ["localhost"])
    key.write_text("not a key")
    made = authority.certificate("cache", ["localhost"])
    assert made == (certificate, key)
    assert _handshake(authority.file, made, "localhost") == "cache"
    authority.file.write_text("not a certificate")
    renewed = pki.authority(tmp_path)
    served = renewed.certificate("cache", ["localhost"])
    assert _handshake(renewed.file, served, "localhost") == "cache"
