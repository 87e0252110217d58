"""A process that appends batch after batch and says which are acknowledged, until it is killed."""

from __future__ import annotations

import sys

from twin.live.model import Link, Report
from twin.live.open import open_events

SIZE = 40


def rows(name: str, batch: int) -> list[tuple[Report, Link]]:
    """One batch of a writer, the same whenever it is made."""
    return [
        (
            Report(
                f"urn:{name}",
                f"{batch}-{row}",
                f"c{row}",
                "work_order",
                "created" if batch % 2 else "closed",
                "low",
                "井盖损坏 " * 20,
                1_800_000_000_000 + batch,
                data={"n": row, "pad": "x" * 200},
            ),
            Link("7k3m-0000", "geid", 1.0),
        )
        for row in range(SIZE)
    ]


def main(where: str, name: str, begin: int, end: int) -> None:
    """Appends batches from `begin` on and prints the number of each as soon as it is acknowledged."""
    log = open_events(where, 60.0)
    for batch in range(begin, end):
        offsets = log.append(rows(name, batch)).offsets
        print(batch, offsets[0], flush=True)
    log.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
