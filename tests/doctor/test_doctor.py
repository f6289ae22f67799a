"""`edgekit doctor` says what a machine is, what stands in the way, and one thing to do about it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.cli import main
from edgekit.commands.doctor import page
from edgekit.core import profiles
from edgekit.core.profiles import find
from edgekit.core.schema import PowerMode
from edgekit.doctor import Diagnosis, diagnose
from edgekit.doctor import checks as checks_module
from edgekit.doctor.board import Board
from edgekit.doctor.checks import CHECKS, Check
from edgekit.doctor.coral import read_corals
from edgekit.doctor.diagnosis import RuntimeStatus, remedy
from edgekit.doctor.jetpack import release, releases
from edgekit.doctor.machine import Place, ask, read_machine, unasked
from edgekit.doctor.probing import LANGUAGE, probe_apart, probe_here
from edgekit.runtimes import registry

MACHINES = Path(__file__).parent.parent / "data/machines"
NAMES = sorted(path.stem for path in MACHINES.glob("*.json"))
Ask = Callable[[Sequence[str]], str]


@pytest.fixture(autouse=True)
def nobody_elses_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def place(tmp_path: Path) -> Callable[..., Place]:
    """Writes a recorded machine's files into a folder and points the doctor at it."""

    def built(name: str, ask: Ask = unasked, **files: str) -> Place:
        recorded = json.loads((MACHINES / f"{name}.json").read_text())
        for relative, content in recorded["files"].items():
            path = tmp_path / "root" / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode("latin-1"))
        about = {key: recorded[key] for key in ("arch", "python", "pointer_bits")}
        return Place(root=tmp_path / "root", disk=tmp_path, ask=ask, **about)

    return built


def check(found: Diagnosis, name: str) -> Check:
    return next(check for check in found.checks if check.name == name)


def names(found: Diagnosis, *, ok: bool) -> set[str]:
    return {check.name for check in found.checks if check.ok is ok}


def test_a_healthy_raspberry_pi_5_has_nothing_to_fix(place: Callable[..., Place]) -> None:
    found = diagnose(place("raspberry-pi-5"))
    assert found.profiles == ("rpi5",)
    assert found.machine.board.model == "Raspberry Pi 5 Model B Rev 1.0"
    assert found.machine.cpu.model == "4x Cortex-A76"
    assert found.machine.cpu.cores == 4
    assert found.machine.cpu.features == ("dotprod", "fp16", "lse")
    assert found.machine.memory.total_bytes == 8245248 * 1024
    assert found.machine.os == "Debian GNU/Linux 12 (bookworm)"
    assert names(found, ok=False) == set()
    assert check(found, "temperature").detail == "48 C (cpu-thermal), slows down at 80 C"
    assert check(found, "power").detail == "no under-voltage or throttling since boot"
    assert check(found, "supply").detail == "gives 5000 mA"


def test_under_voltage_heat_and_a_weak_supply_are_each_said_with_a_remedy(place: Callable[..., Place]) -> None:
    found = diagnose(place("raspberry-pi-5-weak-supply"))
    assert names(found, ok=False) == {"temperature", "power", "supply"}
    assert check(found, "power").detail == "under-voltage, throttled now"
    assert check(found, "power").hint == "use the board's own power supply for 5 A and a short cable"
    assert check(found, "supply").detail == "gives 3000 mA of the 5000 mA recommended"
    assert check(found, "temperature").detail == "82 C (cpu-thermal), slows down at 80 C"


@pytest.mark.parametrize(
    ("said", "ok", "detail"),
    [
        ("throttled=0x0\n", True, "no under-voltage or throttling since boot"),
        ("throttled=0x1\n", False, "under-voltage now"),
        ("throttled=0x10000\n", False, "under-voltage since boot"),
        ("throttled=0xa0002\n", False, "clock capped now; at the soft temperature limit since boot"),
        ("throttled=0xe0008\n", False, "at the soft temperature limit now; clock capped, throttled since boot"),
    ],
)
def test_every_throttling_flag_is_read_now_and_since_boot(
    place: Callable[..., Place], said: str, ok: bool, detail: str
) -> None:
    asked: list[Sequence[str]] = []

    def answer(argv: Sequence[str]) -> str:
        asked.append(argv)
        return said

    power = check(diagnose(place("raspberry-pi-4-vcgencmd", ask=answer)), "power")
    assert asked == [("vcgencmd", "get_throttled")]
    assert (power.ok, power.detail) == (ok, detail)


def test_the_alarm_of_the_kernel_alone_says_nothing_of_throttling_or_of_yesterday(place: Callable[..., Place]) -> None:
    here = place("raspberry-pi-4-vcgencmd")
    folder = here.root / "sys/class/hwmon/hwmon9"
    folder.mkdir(parents=True)
    (folder / "name").write_text("rpi_volt\n")
    for alarm, ok, detail in (("0", True, "no under-voltage now"), ("1", False, "under-voltage now")):
        (folder / "in0_lcrit_alarm").write_text(alarm)
        power = check(diagnose(here), "power")
        assert (power.ok, power.detail) == (ok, detail)


def test_all_cores_of_a_large_server_are_counted(place: Callable[..., Place]) -> None:
    here = place("x86-host")
    block = (here.root / "proc/cpuinfo").read_text().split("\n\n")[0] + f"\nbugs\t: {'x' * 2000}\n\n"
    (here.root / "proc/cpuinfo").write_text(block * 512)
    assert diagnose(here).machine.cpu.cores == 512


def test_a_power_mode_is_compared_with_the_best_there_is() -> None:
    machine = msgspec.structs.replace(read_machine(Place()), board=Board(power_mode="20W", power_modes={"20W": 0, "30W": 1}))
    device = find("jetson-orin-nano")

    def said(**shares: float) -> Check | None:
        modes = tuple(
            PowerMode(name=f"{name}W", peak_fraction=share) for name, share in (("20", shares["own"]), ("30", shares["best"]))
        )
        return checks_module.power_mode(machine, msgspec.structs.replace(device, power_modes=modes))

    worse, best = said(own=0.5, best=0.75), said(own=0.75, best=0.5)
    assert worse is not None and best is not None
    assert (worse.detail, worse.hint) == ("20W: 50% of the GPU's peak; 30W gives 75%", "sudo nvpmodel -m 1")
    assert (best.detail, best.hint) == ("20W: 75% of the GPU's peak, no other mode gives more", "")


def test_a_silent_vcgencmd_leaves_power_unsaid(place: Callable[..., Place]) -> None:
    assert "power" not in {check.name for check in diagnose(place("raspberry-pi-4-vcgencmd")).checks}


def test_a_pi_without_dot_product_is_told_that_int8_gains_less(place: Callable[..., Place]) -> None:
    found = diagnose(place("raspberry-pi-4-vcgencmd"))
    assert found.profiles == ("rpi4",)
    assert check(found, "int8").detail == "no dot product instructions: int8 gains less than elsewhere"


def test_a_32_bit_system_is_told_to_install_the_64_bit_one(place: Callable[..., Place]) -> None:
    found = diagnose(place("raspberry-pi-3-32-bit"))
    assert check(found, "64-bit").detail == "a 32-bit system (armv7l): the runtimes have no packages for it"
    assert check(found, "64-bit").hint == "install the 64-bit image of the operating system"


def test_a_full_memory_is_said_with_the_numbers(place: Callable[..., Place]) -> None:
    memory = check(diagnose(place("raspberry-pi-3-32-bit")), "memory")
    assert (memory.ok, memory.detail) == (False, "only 87.9 MiB of 923 MiB available")


def test_a_jetson_orin_nano_is_recognised_with_its_power_mode_and_jetpack(place: Callable[..., Place]) -> None:
    found = diagnose(place("jetson-orin-nano"))
    assert found.profiles == ("jetson-orin-nano",)
    assert found.machine.board.l4t == "36.4.3"
    assert found.machine.cpu.model == "6x Cortex-A78AE"
    assert check(found, "power mode").detail == "7W: 33% of the GPU's peak; 15W gives all of it"
    assert check(found, "power mode").hint == "sudo nvpmodel -m 0"
    assert check(found, "jetpack").detail == "Jetson Linux 36.4.3: JetPack 6.2 with TensorRT 10.3"
    assert names(found, ok=False) == set()


def test_zones_that_lie_or_cannot_be_read_are_left_out(place: Callable[..., Place]) -> None:
    machine = read_machine(place("jetson-orin-nano"))
    assert [zone.name for zone in machine.temperatures] == ["tj-thermal", "cpu-thermal"]


def test_another_jetpack_than_the_profile_assumes_is_said(place: Callable[..., Place]) -> None:
    found = diagnose(place("jetson-orin-nano-jetpack-5"))
    jetpack = check(found, "jetpack")
    assert not jetpack.ok
    assert jetpack.detail == (
        "Jetson Linux 35.4.1 (JetPack 5 with TensorRT 8.5), but the profile assumes 36.4 (JetPack 6.2 with TensorRT 10.3)"
    )
    assert "hardware_profiles" in jetpack.hint
    assert check(found, "power mode").detail == "15W: all of the GPU"


def test_another_python_than_the_boards_does_not_see_tensorrt(place: Callable[..., Place]) -> None:
    python = check(diagnose(place("jetson-orin-nano-jetpack-5")), "python")
    assert python.detail == "edgekit runs on Python 3.12; TensorRT's binding is for the board's 3.10"
    assert python.hint == "python3.10 -m venv --system-site-packages .venv"


def test_a_board_python_too_old_for_edgekit_is_not_recommended(place: Callable[..., Place]) -> None:
    found = diagnose(place("jetson-nano"))
    assert found.profiles == ("jetson-nano",)
    assert check(found, "jetpack").ok
    assert "trtexec" in check(found, "python").hint


def test_two_kinds_of_cores_are_counted_apart(place: Callable[..., Place]) -> None:
    machine = read_machine(place("jetson-tx2"))
    assert machine.cpu.model == "4x Cortex-A57, 2x Denver 2"
    assert machine.cpu.cores == 6


def test_a_pc_is_the_host(place: Callable[..., Place]) -> None:
    found = diagnose(place("x86-host"))
    assert found.profiles == ("host",)
    assert found.machine.board.model == "NUC12WSHi5"
    assert found.machine.cpu.model == "Intel(R) Core(TM) i5-1240P"
    assert check(found, "int8").detail == "fast on this processor: avx_vnni"
    assert check(found, "temperature").detail == "61 C (x86_pkg_temp)"
    assert names(found, ok=False) == set()


def test_a_coral_in_a_slow_port_is_said_and_becomes_a_target(place: Callable[..., Place]) -> None:
    found = diagnose(place("x86-host-coral-usb2"))
    assert found.profiles == ("host", "coral-usb")
    assert check(found, "coral").detail == "on USB at 480 Mbit/s: every inference waits for the link"
    assert next(runtime for runtime in found.runtimes if runtime.name == "edgetpu").wanted


def test_a_fresh_coral_in_a_fast_port_is_fine(place: Callable[..., Place]) -> None:
    coral = check(diagnose(place("x86-host-coral-usb3")), "coral")
    assert (coral.ok, coral.detail) == (True, "1 on usb, loads its firmware at first use")


def test_a_coral_card_without_its_driver_is_said(place: Callable[..., Place]) -> None:
    found = diagnose(place("x86-host-coral-pci-no-driver"))
    assert found.profiles == ("host", "coral-m2")
    assert check(found, "coral").detail == "1 of 1 on PCIe without /dev/apex_0: no driver"


def test_of_two_coral_cards_the_one_without_a_device_node_is_missed(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = tmp_path / f"sys/bus/pci/devices/0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "vendor").write_text("0x1ac1\n")
        (folder / "device").write_text("0x089a\n")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/apex_0").touch()
    assert [coral.driver for coral in read_corals(tmp_path)] == [True, False]


def test_the_edge_tpu_of_a_dev_board_is_the_board_itself(place: Callable[..., Place]) -> None:
    found = diagnose(place("coral-dev-board"))
    assert found.profiles == ("coral-dev-board",)
    assert check(found, "coral").ok


def test_a_board_without_a_profile_is_told_how_to_write_one(place: Callable[..., Place]) -> None:
    found = diagnose(place("unknown-board"))
    assert found.profiles == ("host",)
    assert found.machine.cpu.model == "4x Cortex-A55, 4x core 0x41/0xfff"
    assert check(found, "board").detail == "no profile for 'radxa,rock-5b': treated as 'host'"
    assert 'matches: ["radxa,rock-5b"]' in check(found, "board").hint


def test_a_virtual_machine_is_not_taken_for_an_unknown_board(place: Callable[..., Place]) -> None:
    assert "board" not in {check.name for check in diagnose(place("virtual-machine")).checks}


def test_a_machine_of_which_nothing_can_be_read_is_still_examined(place: Callable[..., Place]) -> None:
    found = diagnose(place("nothing"))
    assert found.profiles == ("host",)
    assert {check.name for check in found.checks} == {"disk"}
    assert "unknown" in page(found)


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_machine_gets_a_page_and_an_object(place: Callable[..., Place], name: str) -> None:
    found = diagnose(place(name))
    text = page(found)
    assert all(line.isprintable() and line == line.rstrip() for line in text.split("\n"))
    plain = json.loads(msgspec.json.encode(found))
    assert set(plain) == {"machine", "profiles", "runtimes", "checks"}
    for item in (*found.checks, *found.runtimes):
        assert item.ok or item.hint, f"{name}: nothing to do about {item.name}"


RPI5 = profiles.read(profiles.shipped_folder() / "rpi5.yaml")
FILES = sorted({name for path in MACHINES.glob("*.json") for name in json.loads(path.read_text())["files"]})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(FILES), st.binary(max_size=60), max_size=20))
def test_whatever_the_files_hold_a_machine_is_read(tmp_path: Path, files: dict[str, bytes]) -> None:
    root = Path(tempfile.mkdtemp(dir=tmp_path))
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    machine = read_machine(Place(root=root, disk=tmp_path, ask=unasked))
    assert all(check is None or isinstance(check, Check) for check in (look(machine, RPI5) for look in CHECKS))


def test_a_file_that_vanishes_while_it_is_read_reads_as_nothing(place: Callable[..., Place]) -> None:
    where = place("raspberry-pi-5")
    (where.root / "proc/cpuinfo").unlink()
    (where.root / "proc/cpuinfo").symlink_to("gone")
    (where.root / "proc/meminfo").unlink()
    (where.root / "proc/meminfo").mkdir()
    machine = read_machine(where)
    assert (machine.cpu.cores, machine.memory.total_bytes) == (0, 0)


def test_a_program_that_is_absent_or_fails_says_nothing() -> None:
    assert ask(("a-program-that-is-not-there",)) == ""
    assert ask(("false",)) == ""
    assert ask(("echo", "hello")) == "hello\n"


def test_what_is_to_fix_stands_at_the_end_with_one_remedy_each(place: Callable[..., Place]) -> None:
    text = page(diagnose(place("raspberry-pi-5-weak-supply")))
    fixes = text.partition("To fix\n")[2].splitlines()
    assert fixes[-2:] == [
        "  temperature    add a heat sink or a fan, or give it air",
        "  power, supply  use the board's own power supply for 5 A and a short cable",
    ]


def test_only_runtimes_the_machine_wants_are_to_be_fixed() -> None:
    here = diagnose()
    missing = RuntimeStatus(name="tensorrt", ok=False, reason="tensorrt is not installed", hint="install it")
    healthy = msgspec.structs.replace(here, runtimes=(missing,), checks=())
    assert "Nothing to fix." in page(healthy)
    assert "tensorrt is not installed (not needed for this target)" in page(healthy)
    wanted = msgspec.structs.replace(healthy, runtimes=(msgspec.structs.replace(missing, wanted=True),))
    assert "To fix\n  tensorrt  install it" in page(wanted)


@pytest.mark.parametrize("runtime", [*registry.built_in(), *LANGUAGE, "somebody_elses"])
def test_a_runtime_that_sends_people_to_the_doctor_gets_a_remedy_here(runtime: str) -> None:
    assert remedy(runtime, "pip install x") == "pip install x"
    said = remedy(runtime, "edgekit doctor")
    assert "edgekit doctor" not in said and ("install" in said)


def test_every_check_explains_itself_and_is_run() -> None:
    public = {
        name
        for name, value in vars(checks_module).items()
        if callable(value) and getattr(value, "__module__", "") == checks_module.__name__ and not name.startswith("_")
    }
    assert {look.__name__ for look in CHECKS} == public - {"Check"}
    assert all((look.__doc__ or "").strip() for look in CHECKS)


def test_this_machine_is_examined_with_every_runtime(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [runtime["name"] for runtime in found["runtimes"]] == [*registry.names(), "llama_cpp", "xllamacpp"]
    assert all({"name", "ok", "version", "reason", "hint"} <= set(runtime) for runtime in found["runtimes"])
    assert all(set(check) == {"name", "ok", "detail", "hint"} for check in found["checks"])
    assert found["machine"]["python"].startswith("3.")


def test_the_page_of_this_machine_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("This machine\n") and "\nRuntimes\n" in out and "\nChecks\n" in out


@pytest.mark.parametrize(
    ("mounts", "kind", "card", "ok", "detail"),
    [
        ("/dev/mmcblk0p2 / ext4 rw,noatime 0 0", "SD", "mmcblk0", True, "SD card (mmcblk0p2)"),
        ("/dev/mmcblk0p1 / ext4 rw 0 0", "MMC", "mmcblk0", True, "eMMC (mmcblk0p1)"),
        ("/dev/mmcblk1p1 / ext4 rw 0 0", "", "mmcblk1", True, "SD card or eMMC (mmcblk1p1)"),
        ("/dev/nvme0n1p2 / ext4 rw 0 0", "", "", True, "NVMe (nvme0n1p2)"),
        ("/dev/sda2 / ext4 rw 0 0", "", "", True, "USB or SATA disk (sda2)"),
        ("/dev/mmcblk0p2 / ext4 ro,noatime 0 0", "SD", "mmcblk0", False, "SD card (mmcblk0p2) is read-only"),
    ],
)
def test_the_disk_under_the_system_is_named_and_must_be_writable(
    place: Callable[..., Place], mounts: str, kind: str, card: str, ok: bool, detail: str
) -> None:
    where = place("raspberry-pi-5")
    (where.root / "proc/mounts").write_text(f"proc /proc proc rw 0 0\n{mounts}\n")
    if kind:
        (where.root / f"sys/block/{card}/device").mkdir(parents=True)
        (where.root / f"sys/block/{card}/device/type").write_text(f"{kind}\n")
    storage = check(diagnose(where), "storage")
    assert (storage.ok, storage.detail) == (ok, detail)
    assert ok or storage.hint


def test_a_root_that_is_no_device_is_not_guessed_at(place: Callable[..., Place]) -> None:
    where = place("raspberry-pi-5")
    (where.root / "proc/mounts").write_text("overlay / overlay rw 0 0\nnonsense\n")
    assert "storage" not in {one.name for one in diagnose(where).checks}


def test_a_fan_is_told_from_clocks_that_are_lowered(place: Callable[..., Place]) -> None:
    where = place("raspberry-pi-5")
    for number, (kind, now, most) in enumerate([("pwm-fan", 2, 4), ("cpufreq-cpu0", 0, 12), ("gpio-fan", 0, 0)]):
        folder = where.root / f"sys/class/thermal/cooling_device{number}"
        folder.mkdir(parents=True)
        for name, value in (("type", kind), ("cur_state", now), ("max_state", most)):
            (folder / name).write_text(f"{value}\n")
    assert check(diagnose(where), "cooling").detail == "pwm-fan at step 2 of 4"


def test_usb_and_pci_ids_are_listed_and_a_hailo_is_not_taken_for_a_runtime(place: Callable[..., Place]) -> None:
    where = place("raspberry-pi-5")
    folder = where.root / "sys/bus/pci/devices/0001:01:00.0"
    folder.mkdir(parents=True)
    (folder / "vendor").write_text("0x1e60\n")
    (folder / "device").write_text("0x2864\n")
    found = diagnose(where)
    assert found.machine.pci == ("1e60:2864",)
    assert "no runtime for it" in check(found, "hailo").detail
    assert diagnose(place("x86-host-coral-usb3")).machine.usb == ("1a6e:089a",)


def test_a_raspberry_pi_5_is_told_that_it_decodes_no_h264(place: Callable[..., Place]) -> None:
    assert "no H.264 decoder in hardware" in check(diagnose(place("raspberry-pi-5")), "video").detail
    assert "video" not in {one.name for one in diagnose(place("raspberry-pi-4-vcgencmd")).checks}


@pytest.mark.parametrize(
    ("kernel", "hint"),
    [
        ("6.1.0-28-amd64", "sudo apt install gasket-dkms"),
        ("6.12.47", "does not build on 6.12"),
        ("", "sudo apt install gasket-dkms"),
    ],
)
def test_how_to_get_the_coral_driver_depends_on_the_kernel(place: Callable[..., Place], kernel: str, hint: str) -> None:
    where = place("x86-host-coral-pci-no-driver")
    (where.root / "proc/sys/kernel/osrelease").write_text(kernel)
    assert hint in check(diagnose(where), "coral").hint


@pytest.mark.parametrize(
    ("l4t", "jetpack"),
    [
        ("32.7.4", "4"),
        ("35.4.1", "5"),
        ("36.3.0", "6.0"),
        ("36.4.3", "6.1 or 6.2"),
        ("39.2.0", "7.2"),
        ("31.1", None),
        ("", None),
    ],
)
def test_a_jetson_linux_release_belongs_to_a_jetpack(l4t: str, jetpack: str | None) -> None:
    found = release(l4t)
    assert (found.jetpack if found else None) == jetpack


def test_every_row_of_the_jetpack_table_says_where_it_was_read() -> None:
    assert all(len(each.source) > 10 for each in releases())


CRASH = """
import json, os, signal, sys
sys.path[:] = json.loads(sys.argv[1])
from edgekit.doctor import probing
whole = probing._probe
probing._probe = lambda name: os.kill(os.getpid(), signal.{signal}) if name == "litert" else whole(name)
probing.answer(sys.argv[2], json.loads(sys.argv[3]))
"""


@pytest.mark.parametrize(
    ("signal", "said"), [("SIGILL", "an instruction that this processor does not have"), ("SIGSEGV", "killed by SIGSEGV")]
)
def test_a_package_that_ends_its_process_is_an_answer_and_the_others_are_asked_all_the_same(signal: str, said: str) -> None:
    found = probe_apart(("dryrun", "litert", "onnxruntime"), CRASH.format(signal=signal))
    assert found["dryrun"].ok and not found["litert"].ok
    assert said in found["litert"].reason and found["litert"].hint
    assert found["onnxruntime"] == probe_here(("onnxruntime",))["onnxruntime"]


def test_asked_apart_or_here_runtimes_say_the_same() -> None:
    names = (*registry.names(), "llama_cpp", "xllamacpp")
    assert probe_apart(names) == probe_here(names)
