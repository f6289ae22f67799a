"""How many threads a model computes with: one for each core that computes, as the board has them."""

from __future__ import annotations

import os
from pathlib import Path

from edgekit.runtimes.machine import compute_threads


def board(root: Path, *siblings: str) -> Path:
    """A machine with as many processors, each with that list of those that share its core."""
    for number, said in enumerate(siblings):
        topology = root / f"cpu{number}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{said}\n")
    return root


def test_processors_that_share_a_core_count_once(tmp_path: Path) -> None:
    here = sorted(os.sched_getaffinity(0))
    alone = board(tmp_path / "alone", *map(str, range(here[-1] + 1)))
    shared = board(tmp_path / "shared", *["all"] * (here[-1] + 1))
    assert compute_threads(cpus=alone) == len(here)
    assert compute_threads(cpus=shared) == 1


def test_where_the_system_does_not_say_every_processor_computes(tmp_path: Path) -> None:
    assert compute_threads(cpus=tmp_path) == len(os.sched_getaffinity(0))


def test_what_the_user_chose_is_taken(tmp_path: Path) -> None:
    assert compute_threads(3, cpus=tmp_path) == 3
