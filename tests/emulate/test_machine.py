"""What the emulator is told, and the first file system it starts from."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import child_of, outlived

from edgekit.cli import main
from edgekit.core import profiles
from edgekit.core.errors import GateFailed, NotFound, Unsupported
from edgekit.emulate import initrd, kernels, qemu, rootfs
from edgekit.emulate.apps import untimed
from edgekit.emulate.boot import Emulated
from edgekit.emulate.card import CMDLINE, Keys, new_card
from edgekit.emulate.cores import core_of
from edgekit.emulate.limits import Limits, limits_of
from edgekit.emulate.machine import PATIENT, Hardware, Start, command, ssh_command, ssh_config
from edgekit.emulate.machines import VIRT, MachineType, ensure_stands_for, machine_type
from edgekit.emulate.snapshots import saved
from edgekit.models import digits

RASPI3B = machine_type("raspi3b")


def hardware(name: str, machine: MachineType = VIRT) -> Hardware:
    device = profiles.find(name)
    kernel = kernels.kernel_in(Path("/k"), machine)
    return Hardware(core=core_of(device), limits=limits_of(device), kernel=kernel, machine=machine)


def start(card: str, snapshot: str = "") -> Start:
    return Start(card=Path(card), words=CMDLINE.strip(), folder=Path("/f"), http=18080, ssh=18022, snapshot=snapshot)


@pytest.mark.parametrize(
    ("board", "core", "cores", "memory"),
    [
        ("rpi5", "cortex-a76", 4, "1024"),
        ("rpi-zero-2w", "cortex-a53", 4, "512"),
        ("jetson-agx-orin-64gb", "cortex-a76", 12, "4096"),
    ],
)
def test_the_machine_has_the_boards_core_and_memory_and_as_many_cores_as_both_have(
    board: str, core: str, cores: int, memory: str
) -> None:
    argv = command(hardware(board), start("/c/card.img"))
    told = dict(zip(argv[1::2], argv[2::2], strict=False))
    here = len(os.sched_getaffinity(0))
    assert (told["-cpu"], told["-smp"], told["-m"]) == (core, str(min(cores, here)), memory)
    assert "max" not in argv


def test_its_ports_are_on_loopback_and_it_reaches_nothing_outside() -> None:
    network = next(word for word in command(hardware("rpi5"), start("/c/card.img")) if word.startswith("user,"))
    assert "restrict=on" in network and "tcp:127.0.0.1:18080-:8080" in network and "tcp:127.0.0.1:18022-:22" in network


def test_it_ends_where_the_board_would_start_again_so_that_the_card_is_read_anew() -> None:
    assert "-no-reboot" in command(hardware("rpi5"), start("/c/card.img"))


WAITS_FOR_EVER = bytes.fromhex("7f2003d5 ffffff17")
"""A kernel of two instructions: `wfi`, and a jump back to it."""
STARTED = """
import sys, time
from pathlib import Path
from edgekit.core import profiles
from edgekit.emulate.cores import core_of
from edgekit.emulate.kernels import Kernel
from edgekit.emulate.limits import limits_of
from edgekit.emulate.machine import Hardware, Start, running
folder, device = Path(sys.argv[1]), profiles.find("rpi-zero-2w")
kernel = Kernel(image=folder / "kernel", initrd=folder / "kernel")
made = Hardware(core=core_of(device), limits=limits_of(device), kernel=kernel)
with running(made, Start(card=folder / "card.img", words="", folder=folder / "start", http=0, ssh=0)):
    time.sleep(600)
"""


@pytest.mark.skipif(None in (shutil.which(qemu.SYSTEM), shutil.which("setpriv")), reason="QEMU and util-linux's setpriv")
def test_no_machine_is_left_running_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(WAITS_FOR_EVER)
    (tmp_path / "card.img").write_bytes(bytes(1 << 20))
    with subprocess.Popen([sys.executable, "-c", STARTED, str(tmp_path)], text=True) as parent:
        assert not outlived(parent, child_of(parent.pid, qemu.SYSTEM[:15]))


def test_a_raspberry_pi_3_of_qemus_has_its_card_network_and_device_tree() -> None:
    argv = command(hardware("rpi3b-plus", RASPI3B), start("/c/card.img"))
    told = dict(zip(argv[1::2], argv[2::2], strict=False))
    assert (told["-M"], told["-cpu"], told["-smp"], told["-m"]) == ("raspi3b", "cortex-a53", "4", "1024")
    assert "-dtb" in argv and argv[argv.index("-dtb") + 1] == "/k/bcm2837-rpi-3-b.dtb"
    assert "file=/c/card.img,format=raw,if=sd,cache=unsafe" in argv and "usb-net,netdev=net,port=1" in argv
    assert not any("virtio" in word for word in argv)


def test_what_the_machine_has_more_of_than_the_board_is_left_alone() -> None:
    cores = min(4, len(os.sched_getaffinity(0)))
    assert {f"maxcpus={cores}", "mem=512M"} <= set(hardware("rpi-zero-2w", RASPI3B).words.split())
    assert hardware("rpi-zero-2w").words == PATIENT, "virt is made as the board is"
    argv = command(hardware("rpi-zero-2w", RASPI3B), start("/c/card.img"))
    assert argv[argv.index("-append") + 1].startswith(CMDLINE.strip()), "and the card's own words are kept"


def test_cores_that_the_board_does_not_use_have_no_power_because_each_would_keep_one_of_this_machine_busy() -> None:
    pi3 = hardware("rpi3b-plus", RASPI3B)
    argv = command(pi3, start("/c/card.img"))
    assert argv[argv.index("-global") + 1] == f"bcm2837.enabled-cpus={pi3.cores}" and f"maxcpus={pi3.cores}" in pi3.words
    assert "-global" not in command(hardware("rpi3b-plus"), start("/c/card.img")), "virt has as many as it is told"


@pytest.mark.parametrize("name", ["rpi5", "rpi4", "coral-dev-board", "jetson-nano"])
def test_a_machine_that_is_not_like_the_board_is_refused(name: str) -> None:
    device = profiles.find(name)
    with pytest.raises(Unsupported, match="raspi3b, which is a raspberry-pi board with cortex-a53"):
        ensure_stands_for(RASPI3B, device, limits_of(device))
    ensure_stands_for(VIRT, device, limits_of(device))


def test_the_command_takes_a_machine_for_a_boot_alone_and_one_like_the_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["emulate", "--target", "rpi3b-plus", "--machine", "raspi3b"]) == 2
    assert "only a board that boots needs a machine (raspi3b)" in capsys.readouterr().err
    artifact = next(path for path in digits.artifacts() if path.name.endswith("int8"))
    words = ["--app", "digits", "--artifact", str(artifact), "--wheelhouse", str(tmp_path), "--boot", "--machine"]
    assert main(["emulate", "--target", "rpi5", *words, "raspi3b"]) == 1, "before anything is made"
    assert "Raspberry Pi 5 is not emulated on raspi3b" in capsys.readouterr().err
    assert main(["emulate", "--target", "rpi5", *words, "raspi3"]) == 1
    assert "did you mean 'raspi3b'?" in capsys.readouterr().err


def test_a_board_is_not_given_more_memory_than_the_machine_has() -> None:
    device = profiles.find("rpi3b-plus")
    ensure_stands_for(RASPI3B, device, limits_of(device))
    with pytest.raises(Unsupported, match=r"raspi3b has 1024 MiB of memory, .* 2048 MiB"):
        ensure_stands_for(RASPI3B, device, limits_of(device, memory_bytes=2 << 30))


def test_a_machine_that_nobody_knows_is_named_with_those_that_are_known() -> None:
    with pytest.raises(NotFound, match="'raspi4b'") as caught:
        machine_type("raspi4b")
    assert "raspi3b" in caught.value.hint


def test_a_machine_that_cannot_be_saved_says_so_before_a_card_is_copied(tmp_path: Path) -> None:
    keys = Keys(private=tmp_path / "key", known_as="")
    board = Emulated(hardware=hardware("rpi3b-plus", RASPI3B), card=tmp_path / "card.img", keys=keys, folder=tmp_path)
    with pytest.raises(Unsupported, match="raspi3b cannot be saved"):
        saved(board)
    assert not list(tmp_path.iterdir())


def test_a_kernels_package_is_unpacked_as_far_as_it_is_needed(tmp_path: Path) -> None:
    package, tree = tmp_path / "package", tmp_path / "tree"
    wanted = ("boot/vmlinuz-6.1", "lib/modules/6.1/kernel/dwc2.ko", "bin/busybox", "usr/lib/linux/bcm2837-rpi-3-b.dtb")
    for name in (*wanted, "usr/share/doc/large", "usr/lib/linux/another.dtb"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(name)
    subprocess.run(["tar", "-C", str(package), "-cf", str(tmp_path / "package.tar"), "."], check=True)
    tree.mkdir()
    subprocess.run(kernels.unpack_command(tmp_path / "package.tar", tree, RASPI3B), check=True)
    assert {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()} == set(wanted)


def test_a_snapshot_is_woken_from_a_qcow2_card() -> None:
    argv = command(hardware("rpi5"), start("/c/card.qcow2", "ready"))
    assert argv[-2:] == ["-loadvm", "ready"] and any("format=qcow2" in word for word in argv)


def test_ssh_takes_the_boards_own_key_and_no_other(tmp_path: Path) -> None:
    config = ssh_config(tmp_path, Keys(private=tmp_path / "key", known_as="ssh-ed25519 AAAA"), 18022)
    assert (tmp_path / "known_hosts").read_text() == "[127.0.0.1]:18022 ssh-ed25519 AAAA\n"
    assert "StrictHostKeyChecking yes" in config.read_text()
    assert ssh_command(config, "true")[-2:] == ["board", "true"]


def test_a_card_larger_than_the_boards_storage_is_refused_before_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "base.img").write_bytes(bytes(1024))
    limits = Limits(memory_bytes=None, cores=1, storage_bytes=1000)
    with pytest.raises(GateFailed, match="the card has 1024 bytes, the board's storage 1000"):
        new_card(tmp_path / "base.img", tmp_path / "card.img", None, limits)  # type: ignore[arg-type]
    assert not (tmp_path / "card.img").exists()


DEPENDENCIES = """kernel/virtio_blk.ko: kernel/virtio_ring.ko kernel/virtio.ko
kernel/virtio.ko:
kernel/virtio_ring.ko: kernel/virtio.ko
kernel/vfat.ko.xz: kernel/fat.ko.xz
kernel/fat.ko.xz:
kernel/unwanted.ko:
"""


def test_modules_are_loaded_after_what_they_need() -> None:
    order = initrd.load_order(DEPENDENCIES, ("virtio_blk", "vfat", "builtin"))
    assert order == [
        *("kernel/virtio.ko", "kernel/virtio_ring.ko", "kernel/virtio_blk.ko"),
        *("kernel/fat.ko.xz", "kernel/vfat.ko.xz"),
    ]


def test_the_first_file_system_is_one_that_cpio_reads(tmp_path: Path) -> None:
    cpio = shutil.which("cpio")
    modules = tmp_path / "modules"
    (modules / "kernel").mkdir(parents=True)
    (modules / "modules.dep").write_text(DEPENDENCIES)
    for name in ("virtio_blk", "virtio", "virtio_ring"):
        (modules / f"kernel/{name}.ko").write_bytes(name.encode())
    for name in ("fat", "vfat"):
        (modules / f"kernel/{name}.ko.xz").write_bytes(lzma.compress(name.encode()))
    data = gzip.decompress(initrd.initrd(b"a shell", modules, VIRT))
    assert data.startswith(b"070701") and b"TRAILER!!!" in data and len(data) % 4 == 0
    if cpio is None:
        pytest.skip("no cpio to read it with")
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run([cpio, "-id", "--quiet"], input=data, cwd=out, check=True)
    assert (out / "bin/busybox").read_bytes() == b"a shell" and (out / "modules/vfat.ko").read_bytes() == b"vfat"
    assert (out / "partition").read_text() == "/dev/vda\n"
    assert (out / "modules/order").read_text().split() == ["virtio.ko", "virtio_ring.ko", "virtio_blk.ko", "fat.ko", "vfat.ko"]


def test_a_root_file_system_is_unpacked_and_never_run() -> None:
    argv = rootfs.build_command(rootfs.Recipe(suite="bookworm"), Path("/out.tar"))
    assert "--variant=extract" in argv and "--architectures=arm64" in argv
    assert argv[-2:] == ["bookworm", "/out.tar"]
    near = rootfs.build_command(rootfs.Recipe(suite="bookworm", mirror="http://mirror.lan/debian"), Path("/out.tar"))
    assert near[-3:] == ["bookworm", "/out.tar", "http://mirror.lan/debian"]
    assert "libstdc++6" in next(word for word in argv if word.startswith("--include="))


def test_answers_are_compared_without_their_times() -> None:
    said = {"digits": [{"score": 0.123456, "latency_ms": 3}], "latency_ms": 2.0, "runtimes": []}
    assert untimed(said) == {"digits": [{"score": 0.1235}]}


def test_the_programs_have_packages_to_install_them_from() -> None:
    assert {qemu.USER, qemu.SYSTEM, "qemu-img"} == set(qemu.PACKAGES)
