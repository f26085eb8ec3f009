"""The certificate authority of the local cloud, as many parts use it at once."""

import ssl
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from localcloud import pki
from localcloud.pki import CA, Certificate


def all_at_once[T](work: Callable[[], T]) -> list[T]:
    with ThreadPoolExecutor(8) as pool:
        return [future.result() for future in [pool.submit(work) for _ in range(8)]]


def trusts(authority: CA, certificate: Certificate) -> bool:
    """Whether a client that trusts the authority accepts a server with the certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate.file, certificate.key)
    client = ssl.create_default_context(cafile=str(authority.file))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return ours.version() is not None


def test_many_who_ask_at_once_get_the_same_authority_and_certificate(tmp_path: Path) -> None:
    def ask() -> tuple[bytes, bytes, bytes]:
        authority = pki.authority(tmp_path)
        made = authority.certificate("part", ["127.0.0.1"])
        return authority.file.read_bytes(), made.file.read_bytes(), made.key.read_bytes()

    assert len(set(all_at_once(ask))) == 1
    authority = pki.authority(tmp_path)
    assert trusts(authority, authority.certificate("part", ["127.0.0.1"]))


def test_another_authority_s_certificate_is_replaced(tmp_path: Path) -> None:
    first = pki.authority(tmp_path / "first")
    stale = first.certificate("part", ["127.0.0.1"])
    assert not trusts(pki.authority(tmp_path / "second"), stale)
    first.file.unlink()
    renewed = pki.authority(tmp_path / "first")
    assert not trusts(renewed, stale)
    assert trusts(renewed, renewed.certificate("part", ["127.0.0.1"]))


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    pki.authority(tmp_path).certificate("part", ["127.0.0.1"])
    keys = sorted((tmp_path / "pki").glob("*.key"))
    assert [key.name for key in keys] == ["authority.key", "part.key"]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
