"""`windlass backup` and `restore`. The server is imported when one of them is called."""

from pathlib import Path

import click

from windlass.cli.installation import Installation, installation_options


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@installation_options
def backup(file: Path, installation: Installation) -> None:
    """Write the whole database to FILE, while everything goes on.

    FILE is replaced if it is there. The key file is not in it, and has to be kept apart: without the key, a
    backup's secrets cannot be read, which is as much a good as a danger.

    \b
    Example:
      windlass backup windlass.dump
    """
    from windlass.cli.backend import run
    from windlass.server import maintenance

    settings = installation.settings()
    run(maintenance.back_up(settings, file))
    click.echo(f"Wrote {file}, {file.stat().st_size} bytes.")
    click.echo(f"The key is not in it: keep a copy of {settings.key_file} somewhere else.", err=True)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@installation_options
def restore(file: Path, installation: Installation) -> None:
    """Read a backup into an empty database: that of a new data folder, or one of your own.

    FILE is what `windlass backup` wrote. The key file of the installation has to be there first. Tasks that ran
    when the backup was made wait for a worker again.

    \b
    Example:
      windlass restore windlass.dump --data-dir /srv/windlass
    """
    from windlass.cli.backend import run
    from windlass.server import maintenance

    handed_back = run(maintenance.restore(installation.settings(), file))
    click.echo(f"Restored {file}. Tasks that ran then and wait for a worker again: {handed_back}.")
