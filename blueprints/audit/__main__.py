"""The verifier as a command: `python -m blueprints.audit verify`."""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from blueprints.audit.gateway import AnchorsAway, BlobAnchors, FolderAnchors
from blueprints.audit.models import Verification
from blueprints.audit.seals import Signer
from blueprints.audit.verifying import Verifying
from shared import db
from shared.credentials import Identity
from shared.db import Database

SOMETHING_FOUND = 1


class _NotChecked(click.ClickException):
    """The command's end when nothing can be said about the trail."""

    exit_code = 3


@click.group()
def main() -> None:
    """The audit trail from the command line."""


@main.command()
@click.option("--url", envvar="PG_URL", required=True, help="The database (PG_URL).")
@click.option("--from", "first", type=click.IntRange(1), default=1, help="First entry; default: 1.")
@click.option("--to", "last", type=click.IntRange(1), help="Last entry; default: the chain's end.")
@click.option(
    "--anchors",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with copies of the anchors (yyyy/mm/dd.json), instead of the storage account.",
)
@click.option("--storage", envvar="AuditStorage", help="Connection string (AuditStorage).")
@click.option(
    "--storage-url",
    envvar="AuditStorage__blobServiceUri",
    help="The account's blob endpoint, reached with the managed identity.",
)
@click.option(
    "--trusted-ca-file",
    envvar="TRUSTED_CA_FILE",
    help="Authorities to trust beside the public ones, in PEM.",
)
@click.option("--anchor-key", envvar="AUDIT_ANCHOR_KEY", help="The signing key itself.")
@click.option(
    "--public-key",
    "public_keys",
    multiple=True,
    help="A key that anchors were signed with, in base64; for each key that was ever in use.",
)
def verify(
    *,
    url: str,
    first: int,
    last: int | None,
    anchors: Path | None,
    storage: str | None,
    storage_url: str | None,
    trusted_ca_file: str | None,
    anchor_key: str | None,
    public_keys: tuple[str, ...],
) -> None:
    """Check the whole chain, or a part, against itself, its details and its anchors.

    Exits with 0 when nothing was found, 1 when something was, 3 when it could not be checked.
    """
    keys: list[Callable[[], str]] = [partial(str, key) for key in public_keys]
    if anchor_key:
        keys.append(Signer(anchor_key).public_key)
    if not keys:
        raise click.UsageError("give --public-key or --anchor-key")
    if anchors is None and storage is None and storage_url is None:
        raise click.UsageError("give --anchors, --storage or --storage-url")
    kept = (
        FolderAnchors(anchors)
        if anchors
        else BlobAnchors(connection=storage, url=storage_url, trusted_ca_file=trusted_ca_file)
    )
    try:
        outcome = asyncio.run(_verify(url, kept, keys, first, last))
    except AnchorsAway as fault:
        raise _NotChecked(fault.detail) from fault
    except db.UNAVAILABLE as fault:
        raise _NotChecked("the database does not answer") from fault
    for finding in outcome.findings:
        click.echo(_line(finding.model_dump(mode="json", exclude_none=True)))
    if outcome.more_findings:
        click.echo(f"... and {outcome.more_findings} more")
    click.echo(
        f"{'OK' if outcome.ok else 'NOT OK'}: entries {outcome.from_seq} to {outcome.to_seq},"
        f" {outcome.verified} verified ({outcome.erased} with erased details),"
        f" {outcome.anchors} anchors"
    )
    sys.exit(0 if outcome.ok else SOMETHING_FOUND)


async def _verify(
    url: str,
    kept: FolderAnchors | BlobAnchors,
    keys: list[Callable[[], str]],
    first: int,
    last: int | None,
) -> Verification:
    identity = Identity()
    database = Database(url, max_size=1, statement_timeout_s=300, password=identity.password)
    try:
        async for verification in Verifying(database, kept, keys).progress(first, last):
            outcome = verification
            if outcome.next_from is not None:
                click.echo(f"{outcome.to_seq} of {outcome.head_seq}", err=True)
    finally:
        await database.close()
        await identity.close()
    return outcome


def _line(finding: dict[str, object]) -> str:
    where = " ".join(f"{n} {finding[n]}" for n in ("seq", "through", "day") if n in finding)
    return f"{finding['kind']}: {where}: {finding['detail']}"


if __name__ == "__main__":
    main()
