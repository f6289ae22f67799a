"""Copies of clips: a real S3 server (moto's) and a real folder, each taken away and given back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from broker import free_port, is_open
from waiting import wait_until

from edgekit.apps.vision.cloud import settings as cloud_settings
from edgekit.apps.vision.cloud.copies import DATABASE, Copies
from edgekit.apps.vision.cloud.s3 import S3
from edgekit.apps.vision.cloud.settings import Cloud
from edgekit.apps.vision.cloud.upload import Upload, encoded, key_of
from edgekit.apps.vision.notify.courier import Refused, Unreachable
from edgekit.apps.vision.notify.outbox import Outbox, Waiting
from edgekit.apps.vision.sources.states import Patience
from edgekit.core.errors import InputError

QUICK = Patience(first_delay_s=0.05, longest_delay_s=0.2, jitter=0)
PART = 5 << 20
SECRET = "hunter2-secret"


@dataclass(slots=True)
class Store:
    """moto's S3 server, and the tests' own way to look into it."""

    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: is_open(self.port), "the S3 server answers", 60.0)
        self.client().create_bucket(Bucket="clips")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )

    def contents(self) -> dict[str, bytes]:
        client = self.client()
        found = client.list_objects_v2(Bucket="clips").get("Contents", ())
        return {each["Key"]: client.get_object(Bucket="clips", Key=each["Key"])["Body"].read() for each in found}


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    pytest.importorskip("boto3", reason="boto3 (extra cloud) is not installed")
    pytest.importorskip("moto", reason="moto is not installed")
    running = Store(free_port())
    running.start()
    yield running
    running.kill()


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_KEY", "AKIA-hunter2")
    monkeypatch.setenv("STORE_SECRET", SECRET)


def settings(store: Store) -> Cloud:
    return Cloud(
        s3=cloud_settings.S3(bucket="clips", endpoint=store.url, key_env="STORE_KEY", secret_env="STORE_SECRET"), prefix="site"
    )


def test_clips_and_snapshots_arrive_whole(store: Store, tmp_path: Path) -> None:
    (tmp_path / "small.mp4").write_bytes(b"a clip")
    (tmp_path / "large.mp4").write_bytes(os.urandom((9 << 20) + 17))
    copies = Copies(settings(store), tmp_path, patience=QUICK)
    copies.start()
    copies.offer(tmp_path / "small.mp4", "yard", "low")
    copies.offer(tmp_path / "large.mp4", "yard", "high")
    wait_until(lambda: copies.status().counts.sent == 2, "both are there")
    copies.close()
    found = {key.rpartition("/")[2]: (key, data) for key, data in store.contents().items()}
    for name in ("small.mp4", "large.mp4"):
        key, data = found[name]
        assert key.startswith("site/yard/20") and data == (tmp_path / name).read_bytes()


def test_a_store_that_is_gone_is_waited_for_and_then_gets_everything(tmp_path: Path) -> None:
    pytest.importorskip("moto", reason="moto is not installed")
    store = Store(free_port())
    for number in range(5):
        (tmp_path / f"{number}.mp4").write_bytes(b"clip %d" % number)
    first = Copies(settings(store), tmp_path, patience=QUICK)
    first.start()
    for number in range(5):
        first.offer(tmp_path / f"{number}.mp4", "yard", "low")
    wait_until(lambda: first.status().failures >= 2, "it has tried")
    assert first.status().counts.waiting == 5 and "clips" in first.status().trouble
    first.close()
    store.start()
    try:
        later = Copies(settings(store), tmp_path, patience=QUICK)
        later.start()
        wait_until(lambda: later.status().counts.sent == 5, "all five are copied after a restart")
        later.close()
        assert sorted(store.contents().values()) == [b"clip %d" % number for number in range(5)]
    finally:
        store.kill()


def test_an_upload_that_was_interrupted_sends_only_the_parts_that_are_missing(store: Store, tmp_path: Path) -> None:
    clip = tmp_path / "long.mp4"
    clip.write_bytes(os.urandom(3 * PART + 5))
    client, key = store.client(), "site/yard/long.mp4"
    number = client.create_multipart_upload(Bucket="clips", Key=key)["UploadId"]
    data = clip.read_bytes()
    for part in (1, 2):
        body = data[(part - 1) * PART : part * PART]
        client.upload_part(Bucket="clips", Key=key, UploadId=number, PartNumber=part, Body=body)
    bucket, noted, sent = settings(store).s3, list[bytes](), list[int]()
    assert bucket is not None
    channel = S3(bucket, "k", "s", lambda waiting, progress: noted.append(progress), part_bytes=PART)
    channel._client.meta.events.register(
        "before-call.s3.UploadPart", lambda params, **_: sent.append(int(params["query_string"]["partNumber"]))
    )
    body = encoded(Upload(path=str(clip), key=key))
    channel.send(Waiting(id=1, channel="cloud", noticed_s=0.0, tries=1, body=body, progress=number.encode()))
    channel.close()
    assert sent == [3, 4] and not noted
    assert client.get_object(Bucket="clips", Key=key)["Body"].read() == data


def test_an_upload_that_the_store_has_forgotten_begins_anew(store: Store, tmp_path: Path) -> None:
    clip = tmp_path / "again.mp4"
    clip.write_bytes(os.urandom(PART + 5))
    bucket, noted = settings(store).s3, list[bytes]()
    assert bucket is not None
    channel = S3(bucket, "k", "s", lambda waiting, progress: noted.append(progress), part_bytes=PART)
    body = encoded(Upload(path=str(clip), key="again.mp4"))
    channel.send(Waiting(id=1, channel="cloud", noticed_s=0.0, tries=1, body=body, progress=b"long-forgotten"))
    channel.close()
    assert len(noted) == 1 and store.contents()["again.mp4"] == clip.read_bytes()


def test_a_clip_that_was_deleted_meanwhile_is_counted_and_holds_up_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "there.mp4").write_bytes(b"x")
    copies = Copies(settings(store), tmp_path, patience=QUICK)
    copies.offer(tmp_path / "gone.mp4", "yard", "low")
    copies.offer(tmp_path / "there.mp4", "yard", "low")
    copies.start()
    wait_until(lambda: copies.status().counts.sent == 1, "the other one is copied")
    assert copies.status().counts.refused == 1
    copies.close()


def test_the_parts_of_a_clip_that_was_deleted_meanwhile_are_given_up(store: Store, tmp_path: Path) -> None:
    client, bucket = store.client(), settings(store).s3
    number = client.create_multipart_upload(Bucket="clips", Key="gone.mp4")["UploadId"]
    assert bucket is not None
    channel = S3(bucket, "k", "s", lambda waiting, progress: None)
    body = encoded(Upload(path=str(tmp_path / "gone.mp4"), key="gone.mp4"))
    with pytest.raises(Refused):
        channel.send(Waiting(id=1, channel="cloud", noticed_s=0.0, tries=1, body=body, progress=number.encode()))
    channel.close()
    assert number not in {each["UploadId"] for each in client.list_multipart_uploads(Bucket="clips").get("Uploads", ())}


def test_keys_are_never_shown(store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    (tmp_path / "a.mp4").write_bytes(b"x")
    wrong = Cloud(s3=cloud_settings.S3(bucket="absent", endpoint=store.url, key_env="STORE_KEY", secret_env="STORE_SECRET"))
    copies = Copies(wrong, tmp_path, patience=QUICK)
    copies.start()
    copies.offer(tmp_path / "a.mp4", "yard", "low")
    wait_until(lambda: "NoSuchBucket" in copies.status().trouble, "it says what is wrong")
    copies.close()
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("edgekit"))
    assert SECRET not in caplog.text and "hunter2" not in ours + repr(wrong)
    assert all(b"hunter2" not in file.read_bytes() for file in tmp_path.iterdir())


def test_a_folder_gets_whole_files_and_continues_what_was_interrupted(tmp_path: Path) -> None:
    clip, share = tmp_path / "a.mp4", tmp_path / "share"
    clip.write_bytes(os.urandom(3 << 20))
    copies = Copies(Cloud(folder=str(share)), tmp_path, patience=QUICK)
    copies.start()
    copies.offer(clip, "yard", "low")
    wait_until(lambda: "mounted" in copies.status().trouble, "a folder that is not there is not made")
    assert not share.exists()
    share.mkdir()
    wait_until(lambda: copies.status().counts.sent == 1, "it is copied once the folder is there")
    copies.close()
    (copied,) = share.rglob("*.mp4")
    assert copied.read_bytes() == clip.read_bytes() and not list(share.rglob(".*.part"))


@pytest.mark.parametrize("begun", [b"", b"half", b"another beginning", b"another and a good deal longer than the source is"])
def test_a_half_copy_is_continued_or_made_anew(tmp_path: Path, begun: bytes) -> None:
    from edgekit.apps.vision.cloud.folder import Folder

    clip, share = tmp_path / "a.mp4", tmp_path / "share"
    clip.write_bytes(b"half and half again")
    share.mkdir()
    (share / ".a.mp4.part").write_bytes(begun)
    waiting = Waiting(
        id=1, channel="cloud", noticed_s=0.0, tries=0, body=encoded(Upload(path=str(clip), key="a.mp4")), progress=b""
    )
    Folder(share).send(waiting)
    assert [path.name for path in share.iterdir()] == ["a.mp4"] and (share / "a.mp4").read_bytes() == clip.read_bytes()
    clip.unlink()
    with pytest.raises(Refused):
        Folder(share).send(waiting)
    shutil.rmtree(share)
    clip.write_bytes(b"x")
    with pytest.raises(Unreachable):
        Folder(share).send(waiting)


def test_copies_are_bounded_and_say_what_they_gave_up(tmp_path: Path) -> None:
    copies = Copies(Cloud(folder=str(tmp_path / "absent"), most=10), tmp_path)
    for number in range(25):
        copies.offer(tmp_path / f"{number}.mp4", "yard", "low")
    counts = copies.status().counts
    assert (counts.waiting, counts.dropped["low"]) == (10, 15)
    copies.close()
    assert Outbox(tmp_path / DATABASE).counts("cloud").waiting == 10


def test_what_is_not_asked_for_is_not_copied(tmp_path: Path) -> None:
    copies = Copies(Cloud(folder=str(tmp_path), least="high", snapshots=False), tmp_path)
    copies.offer(tmp_path / "a.mp4", "yard", "medium")
    copies.offer(tmp_path / "a.jpg", "yard", "high")
    assert copies.status().counts.waiting == 0
    copies.close()
    with pytest.raises(InputError, match="either"):
        Copies(Cloud(), tmp_path)
    assert key_of("p", "yard", Path("x/a.mp4"), 0.0) == "p/yard/1970-01-01/a.mp4"
