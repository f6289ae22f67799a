"""What a signature promises: who vouches for an artifact, for which release, and that nothing changed since."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit import artifact as artifacts
from edgekit.cli import main
from edgekit.core.errors import EdgekitError, GateFailed, InputError, NotFound
from edgekit.core.schema import Artifact
from edgekit.models import digits

pytest.importorskip("cryptography", reason="the extra [sign] is not installed")

from edgekit.signing.agent import agent_key
from edgekit.signing.minisign import PublicKey, public_text, read_public, read_signature
from edgekit.signing.secret import SecretKey, generate, is_hidden, read_secret, scrypt_cost, secret_text, write_secret
from edgekit.signing.sign import SIGNATURE, ensure_signed, public_keys, sign, signature_of

needs_minisign = pytest.mark.skipif(shutil.which("minisign") is None, reason="minisign is not on this machine")
needs_agent = pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="no ssh-agent on this machine")


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    shipped = next(path for path in digits.artifacts() if path.name.endswith("int8"))
    return artifacts.read(shutil.copytree(shipped, tmp_path / "artifact"))


@pytest.fixture(scope="module")
def key() -> SecretKey:
    return generate()


def test_what_a_key_signed_its_public_half_vouches_for(artifact: Artifact, key: SecretKey) -> None:
    signed = sign(artifact, key, release=7)
    assert ensure_signed(artifact, (key.public,)) == signed
    assert (signed.key_id, signed.name, signed.release) == (key.public.name, artifact.manifest.name, 7)


def test_an_unsigned_artifact_is_refused_with_how_to_sign_it(artifact: Artifact, key: SecretKey) -> None:
    with pytest.raises(GateFailed, match="is not signed") as refusal:
        ensure_signed(artifact, (key.public,))
    assert "edgekit sign" in refusal.value.hint


def test_a_strangers_signature_names_both_keys(artifact: Artifact, key: SecretKey) -> None:
    stranger = generate()
    sign(artifact, stranger)
    with pytest.raises(GateFailed, match=f"{stranger.public.name}, not by {key.public.name}"):
        ensure_signed(artifact, (key.public,))


def test_one_trusted_key_among_several_is_enough(artifact: Artifact, key: SecretKey) -> None:
    sign(artifact, key)
    assert ensure_signed(artifact, (generate().public, key.public)).key_id == key.public.name


def test_a_strangers_key_under_a_trusted_id_does_not_pass(artifact: Artifact, key: SecretKey) -> None:
    sign(artifact, key)
    impostor = PublicKey(id=key.id, raw=generate().public.raw)
    with pytest.raises(GateFailed, match="does not fit"):
        ensure_signed(artifact, (impostor,))


def test_a_manifest_changed_after_signing_is_refused(artifact: Artifact, key: SecretKey) -> None:
    sign(artifact, key)
    manifest = artifact.path / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"rpi5"', b'"rpi4"', 1))
    with pytest.raises(GateFailed, match="changed after it was signed"):
        ensure_signed(artifacts.read(artifact.path), (key.public,))


def test_a_manifest_that_changes_between_reading_and_checking_is_refused(artifact: Artifact, key: SecretKey) -> None:
    sign(artifact, key)
    (artifact.path / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="changed while it was being read"):
        ensure_signed(artifact, (key.public,))


def test_a_release_rewritten_in_the_trusted_comment_is_refused(artifact: Artifact, key: SecretKey) -> None:
    sign(artifact, key, release=7)
    path = artifact.path / SIGNATURE
    path.write_text(path.read_text().replace("release:7", "release:8"))
    with pytest.raises(GateFailed, match="trusted comment was changed"):
        ensure_signed(artifact, (key.public,))


@pytest.mark.parametrize("here", [7, 8])
def test_a_release_that_is_not_newer_than_the_one_here_is_refused(artifact: Artifact, key: SecretKey, here: int) -> None:
    sign(artifact, key, release=7)
    with pytest.raises(GateFailed, match=f"release 7, not newer than {here}"):
        ensure_signed(artifact, (key.public,), newer_than=here)


def test_a_later_signature_has_a_later_release_than_any_before_the_clock(artifact: Artifact, key: SecretKey) -> None:
    sign(artifact, key, release=7)
    assert ensure_signed(artifact, (key.public,), newer_than=6).release == 7
    assert sign(artifact, key).release > 1_700_000_000


def test_a_clock_that_was_never_set_counts_no_releases(
    artifact: Artifact, key: SecretKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 12.0)
    with pytest.raises(InputError, match="never set"):
        sign(artifact, key)
    assert sign(artifact, key, release=3).release == 3


def test_the_signature_of_another_artifact_does_not_pass(artifact: Artifact, key: SecretKey, tmp_path: Path) -> None:
    float32 = next(path for path in digits.artifacts() if path.name.endswith("fp32"))
    other = artifacts.read(shutil.copytree(float32, tmp_path / "other"))
    sign(other, key)
    shutil.copy(other.path / SIGNATURE, artifact.path / SIGNATURE)
    with pytest.raises(GateFailed, match="does not fit"):
        ensure_signed(artifact, (key.public,))


def test_signing_leaves_the_artifact_what_it_was(artifact: Artifact, key: SecretKey) -> None:
    sign(artifact, key)
    assert artifacts.read(artifact.path) == artifact
    found = signature_of(artifact)
    assert found is not None and found.key_id == key.id


# Keys in files


def test_a_secret_key_comes_back_through_its_file(key: SecretKey, tmp_path: Path) -> None:
    write_secret(tmp_path / "k.key", key, "correct horse")
    assert is_hidden(tmp_path / "k.key")
    assert read_secret(tmp_path / "k.key", "correct horse") == key
    assert (tmp_path / "k.key").stat().st_mode & 0o777 == 0o600


def test_the_wrong_password_opens_nothing(key: SecretKey, tmp_path: Path) -> None:
    write_secret(tmp_path / "k.key", key, "correct horse")
    with pytest.raises(InputError, match="password does not open"):
        read_secret(tmp_path / "k.key", "battery staple")
    with pytest.raises(InputError, match="behind a password"):
        read_secret(tmp_path / "k.key", None)


def test_a_secret_key_is_never_written_over_another(key: SecretKey, tmp_path: Path) -> None:
    (tmp_path / "k.key").write_text("another key")
    with pytest.raises(InputError, match="exists already"):
        write_secret(tmp_path / "k.key", key, None)
    assert (tmp_path / "k.key").read_text() == "another key"


def test_the_seed_is_in_no_printed_form_of_a_key(key: SecretKey) -> None:
    assert repr(key.seed) not in repr(key)
    assert "seed" not in repr(key)


def test_scrypt_costs_are_libsodiums() -> None:
    """Interactive and sensitive limits of crypto_pwhash_scryptsalsa208sha256, and the N they are documented with."""
    assert scrypt_cost(524_288, 16_777_216) == (1 << 14, 8, 1)
    assert scrypt_cost(33_554_432, 1_073_741_824) == (1 << 20, 8, 1)


def test_a_secret_key_that_asks_for_all_memory_is_refused(key: SecretKey, tmp_path: Path) -> None:
    import base64
    import struct

    head, line, _ = secret_text(key, "x").split("\n")
    data = bytearray(base64.b64decode(line))
    data[38:54] = struct.pack("<QQ", 1 << 62, 1 << 62)
    (tmp_path / "k.key").write_text(f"{head}\n{base64.b64encode(data).decode()}\n")
    with pytest.raises(InputError, match="scrypt"):
        read_secret(tmp_path / "k.key", "x")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_no_file_is_taken_for_a_key_or_a_signature_by_chance(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    for read in (read_public, read_signature, lambda file: read_secret(file, "x")):
        with pytest.raises(InputError):
            read(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_no_single_changed_byte_of_a_signature_passes(artifact: Artifact, key: SecretKey, place: int, flip: int) -> None:
    if signature_of(artifact) is None:
        sign(artifact, key, release=7)
    path = artifact.path / SIGNATURE
    good = path.read_bytes()
    first = good.index(b"\n") + 1  # the untrusted comment is what its name says
    damaged = bytearray(good)
    damaged[first + place % (len(good) - first - 1)] ^= flip
    path.write_bytes(damaged)
    try:
        with pytest.raises(EdgekitError):
            ensure_signed(artifact, (key.public,))
    finally:
        path.write_bytes(good)


def test_a_folder_of_public_keys_is_read_whole(tmp_path: Path) -> None:
    pairs = [generate(), generate()]
    for number, pair in enumerate(pairs):
        (tmp_path / f"{number}.pub").write_text(public_text(pair.public))
    assert public_keys((tmp_path,)) == tuple(pair.public for pair in pairs)
    with pytest.raises(NotFound):
        public_keys((tmp_path / "empty",))


# The command line


def test_keygen_sign_verify(artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", str(tmp_path / "me"), "--no-password"]) == 0
    assert main(["sign", str(artifact.path), "--secret", str(tmp_path / "me.key"), "--release", "5"]) == 0
    capsys.readouterr()
    assert main(["verify", str(artifact.path), "--key", str(tmp_path / "me.pub"), "--json"]) == 0
    signature = json.loads(capsys.readouterr().out)["signature"]
    assert signature["ok"] and signature["signed"]["release"] == 5


def test_verify_with_a_key_refuses_what_it_did_not_sign_and_loads_nothing(
    artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keygen", str(tmp_path / "me"), "--no-password"]) == 0
    capsys.readouterr()
    assert main(["verify", str(artifact.path), "--key", str(tmp_path / "me.pub"), "--json"]) == 4
    said = json.loads(capsys.readouterr().out)
    assert said["hash_ok"] and not said["signature"]["ok"]
    assert "is not signed" in said["signature"]["reason"]
    assert said["parity"] is None and said["runtime"] == ""


def test_a_password_is_read_from_a_file_where_nobody_can_type(artifact: Artifact, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse\n")
    given = ["--password-file", str(tmp_path / "password")]
    assert main(["keygen", str(tmp_path / "me"), *given]) == 0
    assert main(["sign", str(artifact.path), "--secret", str(tmp_path / "me.key"), *given]) == 0
    assert main(["sign", str(artifact.path), "--secret", str(tmp_path / "me.key")]) == 2


def test_keygen_replaces_no_key(tmp_path: Path) -> None:
    assert main(["keygen", str(tmp_path / "me"), "--no-password"]) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["keygen", str(tmp_path / "me"), "--no-password"]) == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# Peers


@needs_minisign
def test_minisign_accepts_our_signatures(artifact: Artifact, key: SecretKey, tmp_path: Path) -> None:
    sign(artifact, key, release=7)
    (tmp_path / "k.pub").write_text(public_text(key.public))
    said = _minisign("-Vm", str(artifact.path / "manifest.json"), "-p", str(tmp_path / "k.pub"))
    assert "release:7" in said


@needs_minisign
@pytest.mark.parametrize("legacy", [(), ("-l",)], ids=["hashed", "legacy"])
def test_we_accept_minisigns_signatures(artifact: Artifact, tmp_path: Path, legacy: tuple[str, ...]) -> None:
    _minisign("-G", "-W", "-p", str(tmp_path / "k.pub"), "-s", str(tmp_path / "k.sec"))
    _minisign("-S", *legacy, "-s", str(tmp_path / "k.sec"), "-m", str(artifact.path / "manifest.json"))
    signed = ensure_signed(artifact, (read_public(tmp_path / "k.pub"),))
    assert signed.release > 1_700_000_000, "the time in minisign's own comment counts as the release"
    assert read_secret(tmp_path / "k.sec", None).public == read_public(tmp_path / "k.pub")


@needs_minisign
@pytest.mark.parametrize("password", [None, "correct horse"])
def test_minisign_signs_with_our_secret_keys(artifact: Artifact, key: SecretKey, tmp_path: Path, password: str | None) -> None:
    write_secret(tmp_path / "k.key", key, password)
    typed = f"{password}\n" if password else ""
    _minisign("-S", "-s", str(tmp_path / "k.key"), "-m", str(artifact.path / "manifest.json"), typed=typed)
    assert ensure_signed(artifact, (key.public,)).key_id == key.public.name


def _minisign(*arguments: str, typed: str = "") -> str:
    done = subprocess.run(["minisign", *arguments], input=typed, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """A real ssh-agent with two Ed25519 keys and an RSA key, for as long as the test runs."""
    place = tmp_path / "agent.sock"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline(), "the agent says when it listens"
            for kind, name in (("ed25519", "release"), ("ed25519", "nightly"), ("rsa", "old")):
                file = tmp_path / name
                subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", str(file)], check=True)
                subprocess.run(["ssh-add", "-q", str(file)], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(place)})
            yield str(place)
        finally:
            process.terminate()


@needs_agent
def test_a_key_in_an_ssh_agent_signs_without_leaving_it(artifact: Artifact, agent: str, tmp_path: Path) -> None:
    found = agent_key("release", socket_path=agent)
    sign(artifact, found, release=7)
    assert ensure_signed(artifact, (found.public,)).release == 7
    if shutil.which("minisign"):
        (tmp_path / "k.pub").write_text(public_text(found.public))
        _minisign("-Vm", str(artifact.path / "manifest.json"), "-p", str(tmp_path / "k.pub"))


@needs_agent
def test_an_agents_key_is_named_unless_it_is_the_only_one(agent: str) -> None:
    with pytest.raises(InputError, match="2 keys that fit: release, nightly"):
        agent_key(socket_path=agent)
    with pytest.raises(NotFound, match="'old'"):
        agent_key("old", socket_path=agent)


def test_without_an_agent_the_message_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(NotFound, match="SSH_AUTH_SOCK") as refusal:
        agent_key()
    assert "ssh-add" in refusal.value.hint
