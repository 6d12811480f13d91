"""`openloop cache`: the compiled programs kept between runs."""

import typer

from openloop_cli.cli.help import Command, Group

cache = typer.Typer(cls=Group, help="Show or delete the compiled programs that are kept.")


@cache.command(cls=Command)
def info() -> None:
    """Show where the cache is and how large it is."""
    from openloop_cli.cache import cache_info

    held = cache_info()
    typer.echo(f"{held.folder}\n{held.files} files, {held.nbytes / 1e6:.1f} MB")


@cache.command(cls=Command)
def clear() -> None:
    """Delete the cache; the next render compiles again."""
    from openloop_cli.cache import clear_cache

    held = clear_cache()
    typer.echo(f"removed {held.files} files, {held.nbytes / 1e6:.1f} MB, from {held.folder}")
