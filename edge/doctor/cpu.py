"""Which processor this is, and which of its instructions decide how fast networks run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from edgekit.core.schema import Value
from edgekit.doctor import tree

# Kernel names of the instructions that matter, and the names people use. Source: Linux arch/arm64/kernel/cpuinfo.c, arch/x86.
ARM = {
    "asimddp": "dotprod",
    "asimdhp": "fp16",
    "atomics": "lse",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
    "sve2": "sve2",
}
X86 = {name: name for name in ("avx2", "f16c", "fma", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8")}

# Implementer and part numbers. Source: Linux arch/arm64/include/asm/cputype.h.
CORES = {
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD49): "Neoverse-N2",
    (0x41, 0xD4F): "Neoverse-V2",
    (0x41, 0xD83): "Neoverse-V3AE",
    (0x4E, 0x003): "Denver 2",
    (0x4E, 0x004): "Carmel",
}


class Cpu(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The processor's name, how many cores the kernel runs, and the instructions that matter, slow ones first."""

    model: str = ""
    cores: int = 0
    features: tuple[str, ...] = ()


def read_cpu(root: Path) -> Cpu:
    """The processor described by `proc/cpuinfo` under `root`."""
    blocks = [_block(lines) for lines in tree.text(root, "proc/cpuinfo").split("\n\n")]
    blocks = [block for block in blocks if "processor" in block]
    if not blocks:
        return Cpu()
    first = blocks[0]
    flags = set(f"{first.get('flags', '')} {first.get('Features', '')}".split())
    features = (*(said for name, said in ARM.items() if name in flags), *(said for name, said in X86.items() if name in flags))
    return Cpu(model=_model(blocks), cores=len(blocks), features=tuple(dict.fromkeys(features)))


def _block(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): tree.printable(value) for name, _, value in pairs}


def _model(blocks: Iterable[Mapping[str, str]]) -> str:
    """`Intel(R) ...`, or the cores by name: `4x Cortex-A76`, `2x Denver 2, 4x Cortex-A57`."""
    names = Counter(block.get("model name") or _core(block) for block in blocks)
    if len(names) == 1 and "CPU part" not in next(iter(blocks)):
        return next(iter(names))
    return ", ".join(f"{count}x {name}" for name, count in names.items())


def _core(block: Mapping[str, str]) -> str:
    try:
        implementer, part = int(block["CPU implementer"], 16), int(block["CPU part"], 16)
    except (KeyError, ValueError):
        return "unknown core"
    return CORES.get((implementer, part), f"core {implementer:#04x}/{part:#05x}")
