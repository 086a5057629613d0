"""Servers unpacked from Debian packages, without installing them.

`apt-get download` and `dpkg-deb -x` need no root, start no service and change nothing outside the cache; a wrapper
script sets the library path. Only the packages that the machine lacks are fetched.
"""

from __future__ import annotations

import os
import shlex
import shutil
from typing import TYPE_CHECKING

from spanwise.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from spanwise_cli.stack.workshop import Workshop

_APT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
_QUIET = ("-o", "APT::Sandbox::User=root", "-qq")


def extract(shop: Workshop, package: str, program: str, *, name: str, closure: bool = True) -> None:
    """Put `bin/name` into `shop`: runs `program` (a path inside `package`), `closure` says with its dependencies.

    Raises:
        UnavailableError: No Debian tools here, or the package cannot be had.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise UnavailableError("no apt-get on this machine")
    packages = _missing(shop, package) if closure else [package]
    downloads = shop.folder / "downloads"
    downloads.mkdir()
    shop.run("apt-get", *_QUIET, "download", *packages, cwd=downloads, environment=_APT)
    root = shop.folder / "root"
    for archive in sorted(downloads.glob("*.deb")):
        shop.run("dpkg-deb", "-x", str(archive), str(root))
    if not (root / program).exists():
        raise UnavailableError(f"the package {package} has no {program}")
    _write_wrapper(shop, root, program, name)


def _missing(shop: Workshop, package: str) -> list[str]:
    """Return `package` and those of its dependencies that this machine lacks."""
    question = (
        "apt-get",
        *_QUIET,
        "install",
        "--yes",
        "--reinstall",
        "--print-uris",
        "--no-install-recommends",
        package,
    )
    answer = shop.run(*question, environment=_APT, check=False)
    if not answer and os.geteuid() == 0:  # no package lists yet, as in a fresh container
        shop.run("apt-get", *_QUIET, "update", environment=_APT)
        answer = shop.run(*question, environment=_APT)
    names = [line.split()[1].split("_")[0] for line in answer.splitlines() if line.startswith("'")]
    if not names:
        raise UnavailableError(f"apt-get knows no package {package} (log: {shop.log}); run: sudo apt-get update")
    return names


def _write_wrapper(shop: Workshop, root: Path, program: str, name: str) -> None:
    folders = [shop.final / folder.relative_to(shop.folder) for folder in _library_folders(root)]
    target = shop.final / "root" / program
    path = ":".join(map(str, folders))
    wrapper = shop.bin / name
    wrapper.write_text(
        f"#!/bin/sh\nLD_LIBRARY_PATH={shlex.quote(path)}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\n"
        "export LD_LIBRARY_PATH\n"
        f'exec {shlex.quote(str(target))} "$@"\n',
        encoding="utf-8",
    )
    wrapper.chmod(0o755)


def _library_folders(root: Path) -> Iterable[Path]:
    return sorted({library.parent for library in root.rglob("*.so*") if "lib" in library.relative_to(root).parts})
