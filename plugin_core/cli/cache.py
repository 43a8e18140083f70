"""`neural-isp cache`: what the server keeps so that strength can change without running the network again."""

from __future__ import annotations

import click

from plugin_core.client.host_cache import HostCache
from plugin_core.config import CacheConfig

__all__ = ["cache"]


@click.group()
def cache() -> None:
    """Show or clear the cache of results."""


@cache.command()
def show() -> None:
    """Show where the cache is and how full."""
    from plugin_core.cache import ResultCache

    results = ResultCache(CacheConfig())
    entries = results.entries()
    used = sum(entry.size_bytes for entry in entries)
    click.echo(f"{results.directory}: {len(entries)} results, {_size(used)} of at most {_size(results.limit_bytes)}")
    hosts = HostCache.default()
    kept = f"{len(hosts.residuals())} pictures for photo editors"
    click.echo(f"{hosts.folder}: {kept}, {_size(hosts.size())} of at most {_size(hosts.limit_bytes)}")


@cache.command()
def clear() -> None:
    """Remove every kept result; the DNG files that were written stay."""
    from plugin_core.cache import ResultCache

    results = ResultCache(CacheConfig())
    used = results.size()
    click.echo(f"{results.directory}: {results.clear()} results removed, {_size(used)} freed")
    hosts = HostCache.default()
    used = hosts.size()
    click.echo(f"{hosts.folder}: {hosts.clear()} pictures for photo editors removed, {_size(used)} freed")


def _size(count: int) -> str:
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.3g} {unit}"
