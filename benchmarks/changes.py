"""Measures change detection: an edition of COUNT houses of which 1 % changed, with keys and without; and its quality.

usage: python benchmarks/changes.py [COUNT] [RUNS]    prints one JSON document; time of `compare` alone, medians
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

from footprints import outlines
from machine import hardware, load

from tests.twin.registry.edition_maker import Editions, Script, Thing, make, mark, terraces, town
from twin.registry.change import compare

COUNT, RUNS, SEED = 100_000, 7, 11


def houses(count: int) -> list[Thing]:
    """The footprints of the build benchmarks, about 13 corners each."""
    shapes = shapely.polygons(outlines(count, np.random.default_rng(SEED)))
    return [Thing(shape, f"b{row}", 6.0 + row % 30, text=f'{{"row":{row}}}') for row, shape in enumerate(shapes)]


def seconds(editions: Editions, runs: int) -> dict[str, object]:
    """Times of `compare`, the first run left out: it loads compiled code."""
    taken = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        found = compare(editions.before, editions.after)
        taken.append(time.perf_counter() - start)
    marks = mark(editions, found)
    return {
        "median_s": round(statistics.median(taken[1:]), 3),
        "all_s": [round(one, 3) for one in taken[1:]],
        "classes": found.after.counts(),
        **quality([marks]),
    }


def quality(marks: list) -> dict[str, object]:
    """Shares over the rows that were edited."""
    cases, right = sum(one.cases for one in marks), sum(one.right for one in marks)
    return {
        "cases": cases,
        "right_percent": round(100 * right / cases, 3) if cases else None,
        "doubtful": sum(one.doubtful for one in marks),
        "silent_wrong": sum(len(one.silent) for one in marks),
    }


def seeded(maker: object, keys: bool, seeds: int) -> dict[str, object]:
    """Quality over several seeds of 1,500 rows."""
    made = (make(maker(np.random.default_rng(seed), 1500), seed, Script(keys=keys)) for seed in range(100, 100 + seeds))
    return quality([mark(one, compare(one.before, one.after)) for one in made])


def main(count: int, runs: int) -> None:
    first = houses(count)
    script = Script().of(1.0)
    strayed = replace(script.of(0.0), jitter_m=0.05, sheets_shifted=0.4)
    document = {
        "hardware": hardware(),
        "load": load(),
        "rows": count,
        "one_percent_changed": seconds(make(first, SEED, script), runs),
        "nothing_changed": seconds(make(first, SEED, script.of(0.0)), runs),
        "one_percent_changed_without_keys": seconds(make(first, SEED, replace(script, keys=False)), runs),
        "every_corner_strays_and_sheets_shift": seconds(make(first, SEED, strayed), runs),
        "quality": {
            f"{name}, {'with' if keys else 'without'} keys": seeded(maker, keys, 10)
            for name, maker in (("town", town), ("terraces", terraces))
            for keys in (True, False)
        },
    }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main(*(int(value) for value in (*sys.argv[1:], *(COUNT, RUNS)[len(sys.argv) - 1 :])))
