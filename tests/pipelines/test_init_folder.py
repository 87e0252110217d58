"""A folder is looked into as far as a person would: its data files and those of folders inside, in one order."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.init_folder import DEPTH, data_files
from twin.errors import MisuseError


def made(root: Path, *names: str) -> Path:
    """Empty files, with their folders; a name that ends in / is an empty folder."""
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()
    return root


def found(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in data_files(root).files]


def test_folders_inside_are_entered_and_the_order_is_by_name(tmp_path: Path) -> None:
    made(tmp_path, "z/b.shp", "z/a.gpkg", "a/x/dem.tif", "a/m.fgb", "top.geojson", "a/notes.txt", "empty/")
    assert found(tmp_path) == ["top.geojson", "a/m.fgb", "a/x/dem.tif", "z/a.gpkg", "z/b.shp"]


def test_what_lies_deeper_than_the_bound_is_told_and_not_entered(tmp_path: Path) -> None:
    deep = "/".join(f"d{level}" for level in range(1, DEPTH + 1))
    made(tmp_path, f"{deep}/in.shp", f"{deep}/more/out.shp")
    assert found(tmp_path) == [f"{deep}/in.shp"]
    assert data_files(tmp_path).closed == (tmp_path / deep / "more",)


def test_hidden_folders_and_what_the_program_wrote_itself_are_left_out(tmp_path: Path) -> None:
    made(tmp_path, ".git/a.json", ".twin/key/b.json", "maps/c.shp", "maps/.d.shp")
    made(tmp_path, "p/twin.toml", "p/registry.sqlite", "p/out/current.json", "p/out/releases/r/buildings/tileset.json")
    made(tmp_path, "theirs/registry.sqlite")
    assert found(tmp_path) == ["maps/c.shp", "theirs/registry.sqlite"]


def test_a_geodatabase_is_one_file_and_a_grid_of_many_files_is_one_raster(tmp_path: Path) -> None:
    made(tmp_path, "city.gdb/a0001.gdbtable", "city.gdb/inner.json", "dem/hdr.adf", "dem/w001001.adf", "dem/prj.adf")
    assert found(tmp_path) == ["city.gdb", "dem/w001001.adf"]


def test_a_link_back_to_a_folder_above_is_not_followed_round_and_round(tmp_path: Path) -> None:
    made(tmp_path, "a/b/x.shp", "other/y.shp")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "same").symlink_to(tmp_path / "other", target_is_directory=True)
    assert found(tmp_path) == ["a/b/x.shp", "other/y.shp"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> object:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(MisuseError, match="cannot be read: Permission denied"):
        data_files(tmp_path)
