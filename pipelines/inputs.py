"""Names the input of a build by its bytes, without opening any of it: the quick answer to "has anything changed?"."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path

import twin
from pipelines.project import (
    DemGround,
    DsmHeight,
    Project,
    project_digest,
    resolve_areas,
    resolve_grid,
    resolve_outline,
    resolve_paths,
    resolve_rasters,
)

#: Raised whenever the same input would give other bytes, so that no work of an older program is taken over.
BUILD_FORMAT = 11


def input_paths(project: Project) -> list[Path]:
    """Every file the release depends on, with the files that belong to it, in a stable order."""
    paths: set[Path] = set()
    for source in project.sources:
        for path in resolve_paths(project, source):
            paths.update(_companions(path))
        for rule in (*source.height, *source.ground):
            if isinstance(rule, DsmHeight | DemGround):
                paths.update(resolve_rasters(project, source, rule))
        if source.crs_file is not None:
            paths.add((project.root / source.crs_file).resolve())
    for area in project.areas:
        for path in resolve_areas(project, area):
            paths.update(_companions(path))
    paths.update(path for path in (resolve_grid(project), resolve_outline(project)) if path is not None)
    return sorted(paths)


def _companions(path: Path) -> list[Path]:
    """A file and what belongs to it: the parts of a Shapefile, a world file, a `.cpg`; all files of a folder."""
    if path.is_dir():
        return sorted(item for item in path.rglob("*") if item.is_file())
    if path.suffix.lower() != ".shp":
        return [path]
    return sorted(item for item in path.parent.iterdir() if item.stem == path.stem and item.is_file())


def build_key(project: Project) -> str:
    """Names the input of a build: project file, every input byte, and the program. Paths and clocks do not count."""
    lines = [f"format {BUILD_FORMAT}", f"program {twin.__version__}", f"project {project_digest(project)}"]
    lines += [f"input {path.name} {file_digest(path)}" for path in input_paths(project)]
    return sha256("\n".join(lines).encode()).hexdigest()[:16]


def file_stamp(path: Path) -> str:
    """Names a file with all that belongs to it by its bytes."""
    digests = [f"{one.name} {file_digest(one)}" for one in _companions(path)]
    return sha256("\n".join(digests).encode()).hexdigest()[:32]


def file_digest(path: Path) -> str:
    """Digest of the bytes of a file; asked twice in a build, it is read once."""
    facts = path.stat()
    return _digest(path, (facts.st_size, facts.st_mtime_ns, facts.st_ino))


@lru_cache(maxsize=4096)
def _digest(path: Path, _state: tuple[int, int, int]) -> str:
    running = blake2b(digest_size=16)
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            running.update(piece)
    return running.hexdigest()
