"""The certificate of the ports that speak TLS: signed by itself, made once, kept."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcloud.pki import replace_durably

LIFETIME: Final = timedelta(days=825)
"""The longest that some clients accept."""
RENEWED_BEFORE: Final = timedelta(days=30)
_NAMES: Final = ("localhost", "*.localhost")
_ADDRESSES: Final = ("127.0.0.1", "::1")


def server_context(certificate: Path, host: str) -> ssl.SSLContext:
    """What a port serves TLS with; makes the certificate when there is none that lasts.

    The key lies beside the certificate, as `.key`, readable by its owner alone. Clients trust the
    certificate by its path. OSError when the folder cannot be written to.
    """
    key = certificate.with_suffix(".key")
    if not _lasts(certificate, key, host):
        _make(certificate, key, host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def _lasts(certificate: Path, key: Path, host: str) -> bool:
    """Whether there is a certificate for this host, with its key, that is valid for a while."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    lasting = found.not_valid_after_utc - RENEWED_BEFORE > datetime.now(UTC)
    return lasting and found.public_key() == private.public_key() and _name(host) in names


def _make(certificate: Path, key: Path, host: str) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Service Bus on this machine")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks of containers differ
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName(_alternatives(host)), critical=False)
        .sign(private, hashes.SHA256())
    )
    secret = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    certificate.parent.mkdir(parents=True, exist_ok=True)
    replace_durably(key, secret, 0o600)
    replace_durably(certificate, signed.public_bytes(serialization.Encoding.PEM), 0o644)


def _alternatives(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in _NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in _ADDRESSES]
    own = _name(host)
    return names if own in names else [*names, own]


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
