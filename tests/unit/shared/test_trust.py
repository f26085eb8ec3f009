"""Private authorities are trusted beside the public ones."""

import ssl
from pathlib import Path

import pytest
from azure.core.pipeline.transport import AioHttpTransport

from localcloud import pki
from shared import trust


def test_a_private_authority_is_trusted_beside_the_public_ones(tmp_path: Path) -> None:
    file = str(pki.authority(tmp_path).file)
    public, both = trust.context(None), trust.context(file)
    assert both.cert_store_stats()["x509_ca"] == public.cert_store_stats()["x509_ca"] + 1
    assert (both.verify_mode, both.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert trust.context(file) is both


def test_a_file_that_is_not_there_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        trust.context(str(tmp_path / "missing.pem"))


async def test_only_a_private_authority_needs_a_transport_of_ours(tmp_path: Path) -> None:
    assert trust.transport(None, read_timeout=3) == {"read_timeout": 3}
    file = str(pki.authority(tmp_path).file)
    (made,) = trust.transport(file, connection_timeout=2, read_timeout=3).values()
    assert isinstance(made, AioHttpTransport)
    assert (made.connection_config.timeout, made.connection_config.read_timeout) == (2, 3)
    await made.close()
