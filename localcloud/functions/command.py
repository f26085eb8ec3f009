"""`python -m localcloud functions`: the commands of a developer who works on a function app."""

from pathlib import Path

import click


@click.group()
def functions() -> None:
    """Run a function app of your own, as Azure Functions Core Tools' `func` does."""


@functions.command()
@click.option(
    "--script-root",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    default=".",
    show_default="the current folder",
    help="Folder of the app: function_app.py, host.json, local.settings.json.",
)
@click.option(
    "--port",
    "-p",
    type=click.IntRange(0, 65535),
    default=7071,
    show_default=True,
    help="Port of the app; 0 takes a free one.",
)
@click.option(
    "--functions",
    "wanted",
    multiple=True,
    metavar="NAME...",
    help="Run only these functions, for example `--functions orders stock`.",
)
@click.argument("more", nargs=-1, metavar="")
@click.option(
    "--enable-auth",
    is_flag=True,
    help="Ask for function keys where the app's auth level does, as Azure would.",
)
@click.option("--no-reload", is_flag=True, help="Do not start anew when the app's files change.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    default=None,
    show_default=".localcloud/start in the script root",
    help="Folder for keys, timer status and, when the app needs one, its database.",
)
def start(
    *,
    script_root: Path,
    port: int,
    wanted: tuple[str, ...],
    more: tuple[str, ...],
    enable_auth: bool,
    no_reload: bool,
    state: Path | None,
) -> None:
    """Start the app, show its functions and their URLs, and stay until Ctrl-C.

    Settings come from the environment, then local.settings.json, then a running local cloud, in
    this order. Durable Functions keep their state in PostgreSQL: in the running local cloud's
    server, or in one that this command starts for itself. LOCALCLOUD_DURABLE_PG_URL names another.

    Changes of .py files, host.json and local.settings.json start the app anew; requests that come
    meanwhile wait.
    """
    if more and not wanted:
        raise click.UsageError(f"unexpected: {' '.join(more)}")
    # Imported here, so that the other commands need not load what only this one runs.
    from localcloud.functions.session import Session  # noqa: PLC0415

    names = tuple(name for part in (*wanted, *more) for name in part.split(",") if name)
    session = Session(
        script_root,
        state=state or script_root / ".localcloud" / "start",
        port=port,
        only=names,
        require_keys=enable_auth,
        reload=not no_reload,
    )
    code = session.run()
    if code:
        raise SystemExit(code)
