"""darktable's source of just the version that is installed: its headers are what the module is compiled against."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from adapters.darktable.found import Darktable, run
from plugin_core.errors import OptionError

__all__ = ["check_source", "fetch_source"]

NEEDED = ("src/config.cmake.h", "src/iop/iop_api.h", "src/common/darktable.h", "tools/introspection/parser.pl")
APT_FOLDERS = ("lists/partial", "cache/archives/partial")


def check_source(folder: Path, darktable: Darktable) -> Path:
    """The folder, if it is the source tree of this darktable. Raises OptionError for anything else."""
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise OptionError(f"{folder}: is no source tree of darktable ({missing[0]} is missing)", "BAD_SOURCE")
    notes = folder / "RELEASE_NOTES.md"
    if darktable.version not in folder.name and not (
        notes.is_file() and darktable.version.rsplit(".", 1)[0] in notes.read_text(errors="replace")
    ):
        raise OptionError(f"{folder}: is not the source of darktable {darktable.version}", "BAD_SOURCE")
    return folder


def fetch_source(darktable: Darktable, folder: Path) -> Path:
    """Debian's and Ubuntu's source package, fetched by apt without root and unpacked below `folder`.

    apt gets a configuration of its own with one deb-src line, so the system's needs none. Raises OptionError with the
    command that helps.
    """
    site, suite, component = _origin(darktable)
    signed_by = _signed_by(site, suite)
    apt = folder / "apt"
    for name in APT_FOLDERS:
        (apt / name).mkdir(parents=True, exist_ok=True)
    option = f"[signed-by={signed_by}] " if signed_by else ""
    (apt / "sources.list").write_text(f"deb-src {option}{site} {suite} {component}\n")
    (apt / "apt.conf").write_text(
        f'Dir::Etc::SourceList "{apt}/sources.list";\nDir::Etc::SourceParts "/dev/null";\n'
        f'Dir::State::Lists "{apt}/lists";\nDir::Cache "{apt}/cache";\nAPT::Sandbox::User "";\n'
    )
    environment = {"APT_CONFIG": str(apt / "apt.conf")}
    run(["apt-get", "-q", "update"], "NO_SOURCE", environment=environment)
    version = _source_version(darktable)
    run(
        ["apt-get", "-q", "source", "--download-only", "--tar-only", f"darktable={version}"],
        "NO_SOURCE",
        folder,
        environment=environment,
    )
    archives = sorted(folder.glob("darktable_*.orig.tar.*"))
    if not archives:
        raise OptionError(f"apt-get brought no source archive of darktable {version}", "NO_SOURCE")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    return check_source(next(path for path in folder.glob("darktable-*") if path.is_dir()), darktable)


def _source_version(darktable: Darktable) -> str:
    version = run(["dpkg-query", "-W", "-f", "${source:Version}", "darktable"], "NO_SOURCE").strip()
    if not version.startswith(darktable.version.split("~")[0]) and darktable.version not in version:
        raise OptionError(
            f"{darktable.program} is {darktable.version}, the package darktable is {version}: "
            "give the right source tree with --source DIR",
            "NO_SOURCE",
        )
    return version


def _origin(darktable: Darktable) -> tuple[str, str, str]:
    """(site, suite, component) of the repository that the installed package is from."""
    installed = run(["dpkg-query", "-W", "-f", "${Version}", "darktable"], "NO_SOURCE").strip()
    listed = run(["apt-cache", "madison", "darktable"], "NO_SOURCE")
    for line in listed.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 3 and fields[1] == installed and fields[2].endswith("Packages"):
            site, place, *_ = fields[2].split()
            suite, component = place.rsplit("/", 1)
            return site, suite, component
    raise OptionError(
        f"apt knows no repository that has darktable {installed}: run `apt-get update` as root first, "
        f"or give the source tree of darktable {darktable.version} with --source DIR",
        "NO_SOURCE",
    )


def _signed_by(site: str, suite: str) -> str:
    """The keyring that apt's own configuration names for this repository; "" for apt's default keys."""
    listed = run(
        ["apt-get", "indextargets", "--format", "$(SITE)|$(RELEASE)|$(SIGNED_BY)", "Created-By: Packages"], "NO_SOURCE"
    )
    for line in listed.splitlines():
        where, release, key = line.split("|", 2)
        if (where.rstrip("/"), release) == (site.rstrip("/"), suite) and re.fullmatch(r"/\S+", key):
            return key
    return ""
