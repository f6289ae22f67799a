"""First-boot settings, and the files each format makes of them: read here by the parsers that the boards use."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edgekit.core.errors import InputError, NotFound, Unsupported
from edgekit.flash import firstboot
from edgekit.flash.firstboot import cloudinit
from edgekit.flash.settings import Settings, Wifi, checked, password_hash, wifi

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDLq2Xm1n1o3o0b0y0a6b0d0c0e0f0g0h0i0j0k0l0m0 ada@desk"
HASH = "$6$abcdefgh$" + "x" * 86
FULL = Settings(
    hostname="edge-01",
    user="ada",
    password_hash=HASH,
    ssh_keys=(KEY,),
    wifi=wifi('café "5 GHz" $HOME 😀', "pass'word\"😀", "DE"),
    timezone="Europe/Berlin",
    locale="en_GB.UTF-8",
    keymap="gb",
)
NETPLAN = Path("/usr/libexec/netplan/generate")
SIGNS = st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp", "Cf", "Cn", "Co", "Zs"))
WORDS = st.text(SIGNS, min_size=1, max_size=8)


def files(name: str, settings: Settings, script: str = "") -> dict[str, str]:
    made = firstboot.boot_files(name, settings, install_script=script, stamp="s1")
    return {file: data.decode() for file, data in made.files.items()}


# Settings


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hostname": "edge 01; rm -rf /"}, "hostname"),
        ({"hostname": "-edge"}, "hostname"),
        ({"hostname": "a" * 64}, "hostname"),
        ({"hostname": "edge\n"}, "hostname"),
        ({"user": "Ada"}, "user name"),
        ({"user": "root"}, "cannot be root"),
        ({"password_hash": "secret"}, "password hash"),
        ({"password_hash": "", "ssh_keys": ()}, "nobody could log in"),
        ({"user": ""}, "no user"),
        ({"ssh_keys": ("-----BEGIN OPENSSH PRIVATE KEY-----",)}, "private SSH key"),
        ({"ssh_keys": (KEY + "\nssh-rsa x",)}, "not an SSH public key"),
        ({"ssh_keys": (KEY.replace("AAAAC3NzaC1lZDI1NTE5", "AAAAB3NzaC1yc2EAAAAD"),)}, "another kind"),
        ({"timezone": "../../etc/passwd"}, "time zone"),
        ({"locale": "english"}, "locale"),
        ({"keymap": "g b"}, "keyboard"),
        ({"wifi": Wifi(ssid="x" * 33, country="DE")}, "33 bytes"),
        ({"wifi": Wifi(ssid="a\nb", country="DE")}, "control characters"),
        ({"wifi": Wifi(ssid="home", country="")}, "country"),
        ({"wifi": Wifi(ssid="home", country="DE", psk="plain")}, "64 hex digits"),
    ],
)
def test_a_setting_that_cannot_be_is_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        checked(dataclasses.replace(FULL, **change))  # type: ignore[arg-type]


def test_good_settings_pass_unchanged() -> None:
    assert checked(FULL) is FULL
    assert checked(Settings()) == Settings()


def test_a_passphrase_becomes_the_key_of_the_standards_own_example() -> None:
    """IEEE 802.11, annex J.4.3, test case 2."""
    expected = "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af"
    assert wifi("ThisIsASSID", "ThisIsAPassword", "DE").psk == expected


@pytest.mark.parametrize("passphrase", ["short", "x" * 64])
def test_a_passphrase_wpa_would_refuse_is_refused_here(passphrase: str) -> None:
    with pytest.raises(InputError, match=f"{len(passphrase)} bytes; WPA takes 8 to 63"):
        wifi("home", passphrase, "DE")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not on this machine")
def test_a_password_is_hashed_with_a_salt_of_its_own_and_openssl_agrees() -> None:
    first, second = password_hash("correct horse"), password_hash("correct horse")
    assert first != second and first.startswith("$6$")
    salt = first.split("$")[2]
    again = subprocess.run(
        ["openssl", "passwd", "-6", "-salt", salt, "correct horse"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert again == first
    checked(dataclasses.replace(FULL, password_hash=first))


# Formats


def test_there_are_the_formats_that_raspberry_pi_and_ubuntu_use() -> None:
    assert set(firstboot.formats()) == {
        "cloudinit",
        "cloudinit_rpi",
        "custom_toml",
        "firstrun",
        "jetson",
        "rpi_preseed",
        "userconf",
    }
    with pytest.raises(NotFound, match="no first-boot format called 'frstrun'") as refusal:
        firstboot.boot_files("frstrun", Settings(), stamp="s")
    assert "firstrun" in refusal.value.hint


@pytest.mark.parametrize("name", ["cloudinit", "cloudinit_rpi"])
def test_cloud_init_reads_the_settings_back(name: str) -> None:
    made = files(name, FULL, "edgekit/install.sh")
    assert made["user-data"].startswith("#cloud-config\n")
    user_data, network = yaml.safe_load(made["user-data"]), yaml.safe_load(made["network-config"])["network"]
    assert user_data["hostname"] == "edge-01"
    assert "users" not in user_data, "it would make an account without the image's groups"
    assert user_data["user"] | {"sudo": None} == user_data["user"] and user_data["user"]["passwd"] == HASH
    assert user_data["user"]["ssh_authorized_keys"] == [KEY]
    (installs,) = user_data["bootcmd"]
    assert installs[:2] == ["sh", "-c"] and "/boot/firmware/edgekit/install.sh" in installs[2]
    assert network["ethernets"]["eth0"]["dhcp4"] is True, "a file without the wired port switches it off"
    assert FULL.wifi is not None
    assert network["wifis"]["wlan0"]["access-points"][FULL.wifi.ssid]["auth"]["password"] == FULL.wifi.psk


@pytest.mark.skipif(shutil.which("cloud-init") is None, reason="cloud-init is not on this machine")
def test_cloud_inits_own_schema_finds_nothing_wrong(tmp_path: Path) -> None:
    (tmp_path / "user-data").write_text(files("cloudinit", FULL, "edgekit/install.sh")["user-data"])
    command = ["cloud-init", "schema", "--config-file", str(tmp_path / "user-data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("Valid cloud-config"), done.stderr


def test_each_start_of_the_board_installs_the_app_until_it_is_installed(tmp_path: Path) -> None:
    """cloud-init runs `runcmd` once, also when the power went in the middle of it."""
    installed, units, asked = tmp_path / "installed", tmp_path / "units", tmp_path / "asked"
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>{asked}\n')
    (tmp_path / "systemctl").chmod(0o755)
    made = cloudinit.start_until_installed("edgekit/install.sh", str(units)).replace("/opt/edgekit/.installed", str(installed))
    command, environment = ["sh", "-c", made], {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    for _ in range(2):  # a first start whose power went, and the next
        subprocess.run(command, env=environment, check=True)
    assert asked.read_text().split() == ["daemon-reload", "start", "--no-block", cloudinit.SERVICE] * 2
    assert (units / cloudinit.SERVICE).read_text() == cloudinit.service("edgekit/install.sh")
    installed.touch()
    subprocess.run(command, env=environment, check=True)
    assert len(asked.read_text().splitlines()) == 4, "now there is nothing to do"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
def test_systemd_finds_nothing_wrong_with_what_installs_the_app(tmp_path: Path) -> None:
    (tmp_path / cloudinit.SERVICE).write_text(cloudinit.service("edgekit/install.sh"))
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / cloudinit.SERVICE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "edgekit" not in done.stderr, done.stderr


@pytest.mark.skipif(not NETPLAN.exists(), reason="netplan is not on this machine")
def test_netplan_itself_makes_the_network_whatever_its_name_and_password_are(tmp_path: Path) -> None:
    place = tmp_path / "etc/netplan/50-cloud-init.yaml"
    place.parent.mkdir(parents=True)
    place.write_text(files("cloudinit", FULL)["network-config"])
    place.chmod(0o600)
    subprocess.run([str(NETPLAN), "--root-dir", str(tmp_path)], check=True, capture_output=True)
    made = (tmp_path / "run/netplan/wpa-wlan0.conf").read_text()
    assert FULL.wifi is not None
    assert f'ssid="{FULL.wifi.ssid}"' in made and f"psk={FULL.wifi.psk}" in made and "country=DE" in made
    assert (tmp_path / "run/systemd/network/10-netplan-eth0.network").exists(), "the wired port stays"


def test_cloud_inits_instance_is_new_with_each_flash_and_the_kernel_is_told() -> None:
    one, two = (firstboot.boot_files("cloudinit", FULL, stamp=stamp) for stamp in ("a", "b"))
    assert one.files["meta-data"] != two.files["meta-data"]
    assert yaml.safe_load(one.files["meta-data"])["instance-id"] in one.cmdline
    assert "cfg80211.ieee80211_regdom=DE" in one.cmdline


def test_a_user_without_a_password_logs_in_by_key_alone() -> None:
    keyed = dataclasses.replace(FULL, password_hash="")
    user_data = yaml.safe_load(files("cloudinit", keyed)["user-data"])
    assert user_data["ssh_pwauth"] is False and user_data["user"]["lock_passwd"] is True
    assert "enable_ssh -k" in files("firstrun", keyed)["firstrun.sh"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
@pytest.mark.parametrize(("name", "file"), [("rpi_preseed", "rpi-preseed.toml"), ("custom_toml", "custom.toml")])
def test_toml_formats_read_the_settings_back(name: str, file: str) -> None:
    import tomllib

    wanted = dataclasses.replace(FULL, locale="") if name == "custom_toml" else FULL
    read = tomllib.loads(files(name, wanted)[file])
    assert read["system"]["hostname"] == "edge-01"
    assert read["user"] == read["user"] | {"name": "ada", "password": HASH, "password_encrypted": True}
    assert read["ssh"]["authorized_keys"] == [KEY]
    assert FULL.wifi is not None
    assert (read["wlan"]["ssid"], read["wlan"]["password"]) == (FULL.wifi.ssid, FULL.wifi.psk)
    assert read["locale"]["timezone"] == "Europe/Berlin"


def test_what_a_format_cannot_say_is_refused_not_dropped() -> None:
    with pytest.raises(Unsupported, match="locale"):
        files("custom_toml", FULL)
    with pytest.raises(Unsupported, match="a hostname or SSH keys or Wi-Fi"):
        files("userconf", FULL)
    for name in ("custom_toml", "userconf"):
        with pytest.raises(Unsupported, match="runs no commands"):
            files(name, Settings(user="ada", password_hash=HASH), "edgekit/install.sh")
    assert files("userconf", Settings(user="ada", password_hash=HASH)) == {"userconf.txt": f"ada:{HASH}\n", "ssh": ""}


# The script, run by a real shell


def test_the_first_run_script_is_posix_and_every_shell_here_parses_it() -> None:
    script = files("firstrun", FULL, "edgekit/install.sh")["firstrun.sh"]
    for shell in filter(shutil.which, ("sh", "dash", "bash")):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


@given(ssid=WORDS, passphrase=st.text(SIGNS, min_size=8, max_size=10))
def test_no_network_name_escapes_from_the_script(ssid: str, passphrase: str) -> None:
    if not 1 <= len(ssid.encode()) <= 32 or not 8 <= len(passphrase.encode()) <= 63:
        return
    script = files("firstrun", Settings(wifi=wifi(ssid, passphrase, "DE")))["firstrun.sh"]
    assert passphrase not in script.split('step "add the Wi-Fi network"')[1]
    assert "".join(f"{byte};" for byte in ssid.encode()) in script


def test_the_first_run_script_goes_only_after_the_kernel_is_no_longer_told_to_run_it() -> None:
    """A board that is told to run what is gone switches itself off, at every start."""
    lines = files("firstrun", Settings(hostname="edge-01"))["firstrun.sh"].splitlines()
    told, removed = (
        next(at for at, line in enumerate(lines) if line.startswith(word)) for word in ("sed -i 's| systemd.run", "rm -f")
    )
    assert "sync" in lines[told:removed]


def test_a_step_that_fails_is_logged_and_the_others_are_done(tmp_path: Path) -> None:
    """The script runs here in a folder of its own, with stand-ins for the board's programs, and cleans up after itself."""
    boot, etc = tmp_path / "boot", tmp_path / "etc"
    boot.mkdir()
    etc.mkdir()
    (boot / "cmdline.txt").write_text("root=1 rootwait systemd.run=/boot/firstrun.sh systemd.run_success_action=reboot\n")
    script = files("firstrun", Settings(hostname="edge-01", keymap="gb"), "edgekit/install.sh")["firstrun.sh"]
    script = script.replace("/boot/firmware", str(boot)).replace("/etc/", f"{etc}/")
    (etc / "hostname").write_text("raspberrypi\n")
    (etc / "hosts").write_text("127.0.1.1\traspberrypi\n")
    (boot / "edgekit").mkdir()
    (boot / "edgekit" / "install.sh").write_text(f"touch {tmp_path}/installed\n")
    (boot / "firstrun.sh").write_text(script)
    subprocess.run(["sh", str(boot / "firstrun.sh")], check=True)
    log = (boot / "edgekit-firstboot.log").read_text()
    assert "FAILED  set the hostname" in log and "FAILED  set the keyboard" in log, "their programs are not here"
    assert (etc / "hostname").read_text() == "edge-01\n" and "edge-01" in (etc / "hosts").read_text(), "done by hand instead"
    assert "ok      install the app" in log and (tmp_path / "installed").exists()
    assert not (boot / "firstrun.sh").exists()
    assert (boot / "cmdline.txt").read_text() == "root=1 rootwait\n"
