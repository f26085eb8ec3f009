"""Builds the archive that is deployed: `python -m localcloud.package`."""

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pathspec

from localcloud.cloud import ROOT

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time that a zip can hold: the same files always give the same archive."""


def deployed_files(root: Path) -> Iterator[Path]:
    """What `.funcignore` leaves, relative to `root`, in the order of the names."""
    rules = (root / ".funcignore").read_text().splitlines()
    ignored = pathspec.GitIgnoreSpec.from_lines(rules)
    for folder, names, files in os.walk(root):
        here = Path(folder).relative_to(root)
        # Ignored folders are not even entered: .venv alone holds thousands of files.
        names[:] = sorted(name for name in names if not ignored.match_file(f"{here / name}/"))
        for file in sorted(files):
            if not ignored.match_file(str(here / file)):
                yield here / file


def build(root: Path, archive: Path) -> int:
    """Write the archive, replacing an earlier one. Returns the number of files in it."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    scratch = archive.with_suffix(".part")
    count = 0
    with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as package:
        for file in deployed_files(root):
            entry = zipfile.ZipInfo(file.as_posix(), _EPOCH)
            entry.external_attr = 0o644 << 16
            package.writestr(entry, (root / file).read_bytes(), zipfile.ZIP_DEFLATED)
            count += 1
    scratch.replace(archive)
    return count


@click.command()
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=ROOT / "dist" / "platform.zip",
    show_default="dist/platform.zip",
    help="The archive to write.",
)
def main(output: Path) -> None:
    """Build the archive for `az functionapp deployment source config-zip` and its like."""
    count = build(ROOT, output)
    click.echo(f"{output}: {count} files, {output.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
