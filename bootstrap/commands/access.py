"""The way to the pages of the cluster."""

from pathlib import Path

import rich_click as click

from bootstrap import browser
from bootstrap import cluster as clusters
from bootstrap import tunnel as tunnels
from bootstrap.context import Context, cluster_id_option, command
from bootstrap.releases import JUPYTERHUB
from bootstrap.uis import pages_of
from fruits.errors import BadArgument


@command(interrupted="nothing was opened")
@cluster_id_option
@click.option(
    "--socks",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help=f"With ssh: of the SOCKS proxy. [default: {tunnels.SOCKS}, or a free one]",
)
@click.option("--pac", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="With ssh: write a PAC file for the browser.")
def tunnel(context: Context, cluster_id: str | None, socks: int | None, pac: Path | None) -> int:
    """Open the cluster's pages on this machine's loopback address, until Ctrl-C.

    By AWS Systems Manager, or with --set access.way=ssh by ssh -D, through which a browser reaches the pages of all nodes.
    """
    access, account = context.settings.access, context.account
    if access.way == "ssm":
        for option, value in (("--socks", socks), ("--pac", pac)):
            if value is not None:
                raise BadArgument(f"{option} is of ssh, and the tunnel is by SSM", "leave it out, or give --set access.way=ssh")
    tunnels.check_installed(*(("ssh",) if access.way == "ssh" else ("aws", "session-manager-plugin")))
    cluster = clusters.running(account, context.settings.name, cluster_id)
    primary = tunnels.primary_of(account, cluster)
    to, port = tunnels.forwards(pages_of(cluster), socks)
    proxy = f"{tunnels.LOOPBACK}:{port}"
    if pac:
        try:
            pac.write_text(browser.pac(proxy))
        except OSError as failed:
            raise BadArgument(f"--pac {pac} cannot be written: {failed.strerror}", "give another file") from failed
    programs = [tunnels.by_ssh(cluster, primary, access, to, port)] if access.way == "ssh" else tunnels.by_ssm(account, primary, to)
    context.say(f"{cluster.id}: opening {len(to)} pages of {primary.instance} by {access.way} ...")
    with tunnels.until_stopped(), tunnels.running(programs) as started:
        for forward in to:
            context.say(f"{forward.page.name}: {forward.url}")
        if access.way == "ssh":
            for line in browser.settings(proxy):
                context.say(line)
            if pac:
                context.say(f"PAC file: {pac.resolve().as_uri()}")
        if cluster.has(JUPYTERHUB):
            context.say("JupyterHub's certificate is its own, of which a browser warns")
        else:
            context.say("JupyterHub is not on this cluster: `submit` runs jobs without a notebook")
        context.say("the Dask dashboard answers while a Dask job runs")
        context.say("open until Ctrl-C")
        tunnels.watch(started)
    context.say("closed")
    return 0


COMMANDS = (tunnel,)
