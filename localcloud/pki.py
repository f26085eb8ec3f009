"""The certificate authority of the local cloud: made once, kept, trusted by its parts alone."""

import contextlib
import fcntl
import ipaddress
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FOLDER: Final = "pki"
AUTHORITY_LIFETIME: Final = timedelta(days=3650)
LIFETIME: Final = timedelta(days=397)
"""The longest that clients accept of a server: https://www.apple.com/support/HT211025"""
RENEWED_BEFORE: Final = timedelta(days=30)
_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Local cloud of this machine")])


class Certificate(NamedTuple):
    """A server's certificate and its key, as files in PEM."""

    file: Path
    key: Path


@dataclass(frozen=True)
class CA:
    """A certificate authority; `file` is what clients trust, in PEM."""

    file: Path

    def certificate(self, name: str, hosts: Sequence[str]) -> Certificate:
        """The files of a certificate for a server that is reached as `hosts`, and of its key.

        Made when there is none of this `name` that lasts and has exactly these hosts. Hosts are
        names or IP addresses. OSError when the folder cannot be written to.
        """
        certificate = self.file.with_name(f"{name}.pem")
        key = certificate.with_suffix(".key")
        with _alone(self.file.parent):
            if not self._lasts(certificate, key, hosts):
                self._issue(certificate, key, hosts)
        return Certificate(certificate, key)

    def _lasts(self, certificate: Path, key: Path, hosts: Sequence[str]) -> bool:
        try:
            found = x509.load_pem_x509_certificate(certificate.read_bytes())
            private = _read_key(key)
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            found.verify_directly_issued_by(self._certificate())
        except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
            return False
        except Exception:  # noqa: BLE001 - another authority's signature: InvalidSignature
            return False
        lasting = _is_lasting(found) and found.public_key() == private.public_key()
        return lasting and set(names) == {_host(host) for host in hosts}

    def _issue(self, certificate: Path, key: Path, hosts: Sequence[str]) -> None:
        authority, own = self._certificate(), _read_key(self.file.with_suffix(".key"))
        private = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, certificate.stem)])
        builder = (
            _begun(subject, private, LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_identifier_of(authority), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
            )
        )
        signed = builder.sign(own, hashes.SHA256())
        replace_durably(key, _pem(private), 0o600)
        replace_durably(certificate, signed.public_bytes(serialization.Encoding.PEM), 0o644)

    def _certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.file.read_bytes())


def authority(state: Path) -> CA:
    """The authority that is kept in the state folder; made when there is none that lasts.

    Its key lies beside its certificate, readable by its owner alone. OSError when the folder cannot
    be written to.
    """
    folder = state / FOLDER
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    file = folder / "authority.pem"
    with _alone(folder):
        if not _is_kept(file):
            _found(file)
    return CA(file)


def _is_kept(file: Path) -> bool:
    """Whether there is an authority that is valid for a while, with its key."""
    try:
        found = x509.load_pem_x509_certificate(file.read_bytes())
        own = _read_key(file.with_suffix(".key")).public_key()
    except (OSError, ValueError, TypeError):
        return False
    return _is_lasting(found) and found.public_key() == own


def _found(file: Path) -> None:
    """Make an authority."""
    private = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _begun(_NAME, private, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    signed = builder.sign(private, hashes.SHA256())
    replace_durably(file.with_suffix(".key"), _pem(private), 0o600)
    replace_durably(file, signed.public_bytes(serialization.Encoding.PEM), 0o644)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Parts start together: one makes what the others then find.

    The kernel drops the lock with its process: it is never stale.
    """
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _begun(
    subject: x509.Name, private: ec.EllipticCurvePrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    public = private.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_NAME)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks of containers differ
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _identifier_of(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    found = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found)


def _is_lasting(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc - RENEWED_BEFORE > datetime.now(UTC)


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _read_key(file: Path) -> ec.EllipticCurvePrivateKey:
    """ValueError when it is of another kind."""
    private = serialization.load_pem_private_key(file.read_bytes(), None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{file} holds another kind of key")  # noqa: TRY004 - the file's content
    return private


def _pem(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def replace_durably(file: Path, data: bytes, mode: int) -> None:
    """Replace a file in one step: a half-written key would stop the next start."""
    scratch = file.with_suffix(f"{file.suffix}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as writer:
        writer.write(data)
        writer.flush()
        os.fsync(writer.fileno())
    scratch.replace(file)
