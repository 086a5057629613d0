"""Whether what is written to a folder outlives the machine or container that it is written on."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

ShortLived = Literal["memory", "a container's own layer"]
_KINDS: Final[dict[str, ShortLived]] = {
    "tmpfs": "memory",
    "ramfs": "memory",
    "overlay": "a container's own layer",
    "aufs": "a container's own layer",
}
_MOUNTS: Final = Path("/proc/self/mountinfo")
_POINT, _SEPARATOR = 4, "-"


def short_lived(folder: Path, mounts: Path = _MOUNTS) -> ShortLived | None:
    """Return on what `folder` stands where that does not last; none where it does, or nobody can tell.

    Args:
        folder: one that exists.
        mounts: Linux's list of mounts (proc(5), `/proc/pid/mountinfo`).
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # another system
        return None
    real, best, kind = folder.resolve(), -1, ""
    for line in lines:
        fields = line.split()
        point = Path(fields[_POINT].encode().decode("unicode_escape"))  # a blank is written as \040
        if real.is_relative_to(point) and len(point.parts) >= best:  # of two at one place, the later covers the other
            best, kind = len(point.parts), fields[fields.index(_SEPARATOR) + 1]
    return _KINDS.get(kind)
