"""The journal folder: private, ignored by git, and proven to take a file before anything is recorded into it.

Every file in it is opened by the functions of this module, which follow no link: whoever can put a link into the folder
must not choose where we write.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from spanwise.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path


def prepare(folder: Path) -> None:
    """Make the journal folder (0700, ignored by git) and check that it takes a file.

    Raises:
        UnavailableError: the folder cannot be made or written to; names it and the remedy.
    """
    try:
        make(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnavailableError(
            f"{folder}: runs cannot be recorded here ({reason}); free or unlock the disk, or name another folder with "
            "--journal or SPANWISE_JOURNAL_DIR"
        ) from None


def make(folder: Path) -> None:
    """Do what `prepare` does; raises the `OSError` itself."""
    ignore, probe = folder / ".gitignore", folder / f".probe-{os.getpid()}-{os.urandom(4).hex()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _keep_others_out(folder)
    try:
        _put(probe, b"probe\n")
    finally:
        probe.unlink(missing_ok=True)
    with suppress(FileExistsError):
        _put(ignore, b"*\n")


def _keep_others_out(folder: Path) -> None:
    """Make a folder that others can write to 0700, where it is ours and holds a journal or nothing; else refuse it."""
    about = folder.stat()
    if not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return
    is_shared = bool(about.st_mode & stat.S_ISVTX) or about.st_uid != os.geteuid()
    if is_shared or not ((folder / ".gitignore").is_file() or not any(folder.iterdir())):
        raise PermissionError(
            errno.EPERM, "others can write to it: chmod 700, or name a folder of your own", str(folder)
        )
    folder.chmod(0o700)


def create(path: Path) -> int:
    """Open a new file for writing, in place of what a killed process may have left, and return its descriptor.

    Raises:
        OSError: the disk does not take it, or somebody else makes it at this moment.
    """
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def open_or_create(path: Path, flags: int) -> int:
    """Open a file of ours, which is made where there is none, and return its descriptor.

    Raises:
        OSError: the disk does not take it, or it is a link, or anything else than a file.
    """
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no file", str(path))
    return descriptor


def _put(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
