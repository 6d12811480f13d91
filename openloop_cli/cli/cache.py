"""`openloop cache`: the compiled programs that are kept between runs."""

import typer

cache = typer.Typer(help="Compiled programs that are kept between runs.", no_args_is_help=True)


@cache.command()
def info() -> None:
    """Where the cache lies and how large it is."""
    from openloop_cli.cache import cache_info

    held = cache_info()
    typer.echo(f"{held.folder}\n{held.files} files, {held.nbytes / 1e6:.1f} MB")


@cache.command()
def clear() -> None:
    """Remove it; the next render compiles again."""
    from openloop_cli.cache import clear_cache

    held = clear_cache()
    typer.echo(f"removed {held.files} files, {held.nbytes / 1e6:.1f} MB, from {held.folder}")
