"""Disks that do not last are told from others by Linux's list of mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanwise_cli.disks import short_lived

MOUNTS = """\
1 0 0:1 / / rw,relatime shared:1 - overlay overlay rw
2 1 0:2 / {folder} rw - ext4 /dev/sda rw
3 2 0:3 / {folder}/in\\040memory rw master:2 shared:3 - tmpfs tmpfs rw
4 2 0:4 / {folder}/covered rw - tmpfs tmpfs rw
5 2 0:5 / {folder}/covered rw - xfs /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a/b", None), ("in memory", "memory"), ("covered", None), ("..", "a container's own layer")],
)
def test_the_mount_nearest_to_a_folder_says_whether_it_lasts(tmp_path: Path, name: str, kind: str | None) -> None:
    home = tmp_path / "home"
    folder = home / name
    folder.mkdir(parents=True, exist_ok=True)
    (tmp_path / "mounts").write_text(MOUNTS.format(folder=home))
    assert short_lived(folder, tmp_path / "mounts") == kind


def test_where_nobody_can_tell_nothing_is_said(tmp_path: Path) -> None:
    assert short_lived(tmp_path, Path("/nowhere")) is None
