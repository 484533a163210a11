"""The installation that a command works on: where it is, and how it is used. Light: the server is imported by then."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from windlass.server.redaction import has_password

if TYPE_CHECKING:
    from windlass.server.application import Application
    from windlass.server.config import Settings
    from windlass.server.store.database import Database

Command = TypeVar("Command", bound=Callable[..., Any])
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Installation:
    """Where it keeps its data and its database, as far as that was typed; the environment says the rest."""

    data_dir: Path | None
    database_url: str | None = None

    def settings(
        self, *, forwarded_allow_ips: str | None = None, shutdown_grace_s: int | None = None, is_dev: bool = False
    ) -> "Settings":
        """All settings, with what else was typed; a password that was typed is warned of.

        is_dev: no rate limit, whatever the environment says.
        """
        from windlass.server.config import Settings

        if self.database_url is not None and has_password(self.database_url):
            click.echo(
                "Warning: the password in --database-url can be read by every user of this machine, in the list of "
                "processes. Set WINDLASS_DATABASE_URL instead.",
                err=True,
            )
        settings = Settings.load(
            data_dir=self.data_dir,
            database_url=self.database_url,
            forwarded_allow_ips=forwarded_allow_ips,
            shutdown_grace_s=shutdown_grace_s,
        )
        return replace(settings, rate_limit=None) if is_dev else settings

    def use(self, work: "Callable[[Application], Coroutine[Any, Any, T]]") -> T:
        """What `work` answers, to which the application is opened."""
        from windlass.cli.backend import on_application

        return on_application(self.settings(), work)

    def use_database(self, work: "Callable[[Database], Coroutine[Any, Any, T]]") -> T:
        """As `use`, for what needs no key: it works without the key file, too."""
        from windlass.cli.backend import on_database

        return on_database(self.settings(), work)


def installation_options(command: Command) -> Command:
    """The options that say where the installation is; the command's `installation` is what they say."""

    @wraps(command)
    def collect(*arguments: Any, **options: Any) -> Any:
        installation = Installation(options.pop("data_dir"), options.pop("database_url"))
        return command(*arguments, installation=installation, **options)

    for option in (
        click.option(
            "--database-url", metavar="URL", help="A PostgreSQL of your own; WINDLASS_DATABASE_URL otherwise."
        ),
        click.option(
            "--data-dir",
            metavar="DIR",
            type=click.Path(path_type=Path, file_okay=False),
            help="Where Windlass keeps its data, its own PostgreSQL among it; WINDLASS_DATA_DIR otherwise.",
        ),
    ):
        option(collect)
    return collect  # type: ignore[return-value]  # It is called by click, with what the options say.
