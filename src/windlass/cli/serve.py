"""`windlass serve`, `worker` and `migrate`. The server is imported when one of them is called."""

import click

from windlass.cli.installation import Installation, installation_options
from windlass.cli.options import log_option

_grace_option = click.option(
    "--grace",
    type=click.IntRange(0, 99_999),
    metavar="SECONDS",
    help="How long running tasks may go on after a signal to stop; then, or after a second signal, they are handed "
    "back. WINDLASS_SHUTDOWN_GRACE_S otherwise.",
)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8080,
    show_default=True,
    help="The port to listen on; 0 takes any free one.",
)
@installation_options
@click.option(
    "--forwarded-allow-ips",
    metavar="ADDRESSES",
    help="Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses and networks with commas "
    "between them, or *; WINDLASS_FORWARDED_ALLOW_IPS otherwise.",
)
@click.option("--no-worker", is_flag=True, help="Serve the API only; tasks wait for a `windlass worker`.")
@_grace_option
@click.option("--dev", is_flag=True, help="For trying things out: no rate limit, a colourful log.")
@log_option
def serve(
    host: str,
    port: int,
    installation: Installation,
    forwarded_allow_ips: str | None,
    no_worker: bool,
    grace: int | None,
    dev: bool,
    log_format: str | None,
) -> None:
    """Serve the API, and run tasks.

    \b
    Examples:
      windlass serve
      windlass serve --port 0 --data-dir ./data
      windlass serve --no-worker \\
        --database-url postgresql://me@db.example/windlass
      windlass serve --forwarded-allow-ips 10.0.0.0/8
    """
    from windlass.cli.backend import log_to_stderr, run
    from windlass.server import app

    log_to_stderr(is_colourful=dev, log_format=log_format)
    run(
        app.serve(
            installation.settings(forwarded_allow_ips=forwarded_allow_ips, shutdown_grace_s=grace, is_dev=dev),
            host=host,
            port=port,
            has_worker=not no_worker,
            on_ready=lambda _, url: click.echo(f"windlass ready on {url}"),
        )
    )


@click.command()
@installation_options
@click.option("--slots", type=click.IntRange(min=2), help="How many tasks at once, two at least; one a processor.")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    help="Answer /metrics, /health/live and /health/ready on this port; 0 takes any free one.",
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="The address to answer them on.")
@_grace_option
@log_option
def worker(
    installation: Installation,
    slots: int | None,
    metrics_port: int | None,
    metrics_host: str,
    grace: int | None,
    log_format: str | None,
) -> None:
    """Run tasks without serving the API.

    \b
    Examples:
      windlass worker --slots 4 --grace 60 \\
        --database-url postgresql://me@db.example/windlass
      windlass worker --metrics-port 9464 --log-format json
    """
    from windlass.cli.backend import log_to_stderr, run
    from windlass.server import app

    def say_ready(url: str | None) -> None:
        click.echo("windlass worker ready" if url is None else f"windlass worker ready, metrics on {url}/metrics")

    log_to_stderr(is_colourful=False, log_format=log_format)
    run(
        app.work(
            installation.settings(shutdown_grace_s=grace),
            slots=slots,
            on_ready=say_ready,
            watch_at=None if metrics_port is None else (metrics_host, metrics_port),
        )
    )


@click.command()
@installation_options
def migrate(installation: Installation) -> None:
    """Bring the database's schema up to date.

    `serve` and `worker` do so by themselves.

    \b
    Example:
      windlass migrate --database-url postgresql://me@db.example/windlass
    """
    from windlass.cli.backend import run
    from windlass.server import maintenance

    run(maintenance.migrated(installation.settings()))
    click.echo("The database's schema is up to date.")
