"""Copies in an S3-compatible store. Large files go in parts, and one that was interrupted goes on with the part that is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgekit.apps.vision.cloud import settings as cloud_settings
from edgekit.apps.vision.cloud.upload import decoded
from edgekit.apps.vision.notify.courier import Refused, Unreachable
from edgekit.apps.vision.notify.outbox import Waiting
from edgekit.core.optional import need

PART_BYTES = 8 << 20
"""Stores take parts of 5 MiB and more; one part is held in memory."""
TYPES = {".mp4": "video/mp4", ".jpg": "image/jpeg"}
GONE = ("NoSuchUpload", "404")
Note = Callable[[Waiting, bytes], None]


class S3:
    """One bucket. `note` keeps the number of an upload in parts across restarts."""

    name = "cloud"

    def __init__(self, settings: cloud_settings.S3, key: str, secret: str, note: Note, *, part_bytes: int = PART_BYTES) -> None:
        self._settings, self._note, self._part_bytes = settings, note, part_bytes
        self._client = _client(settings, key, secret)

    def send(self, waiting: Waiting) -> None:
        """Copy the file; the store has all of it when this returns. Raises `Unreachable`, and `Refused` for a file that is gone."""
        upload = decoded(waiting.body)
        path = Path(upload.path)
        with self._said_plainly():
            if not path.is_file():
                self._abandon(upload.key, waiting)
                raise Refused(f"{path.name!r} was deleted before it was copied")
            if path.stat().st_size <= self._part_bytes:
                self._whole(path, upload.key)
            else:
                self._in_parts(path, upload.key, waiting)

    def tend(self) -> None:
        """Nothing is held open."""

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _whole(self, path: Path, key: str) -> None:
        self._client.put_object(Bucket=self._settings.bucket, Key=key, Body=path.read_bytes(), ContentType=_type(path))

    def _in_parts(self, path: Path, key: str, waiting: Waiting) -> None:
        where = {"Bucket": self._settings.bucket, "Key": key}
        number = waiting.progress.decode()
        there = self._parts(where, number) if number else None
        if there is None:
            number = self._client.create_multipart_upload(**where, ContentType=_type(path))["UploadId"]
            self._note(waiting, number.encode())
            there = {}
        parts = list(self._sent(path, where, number, there))
        self._client.complete_multipart_upload(**where, UploadId=number, MultipartUpload={"Parts": parts})

    def _sent(self, path: Path, where: Mapping[str, str], number: str, there: Mapping[int, Mapping[str, Any]]) -> Iterator[Any]:
        """Every part, sent now unless the store has it whole."""
        with path.open("rb") as file:
            for index in range(1, -(-path.stat().st_size // self._part_bytes) + 1):
                data = file.read(self._part_bytes)
                tag = there[index]["ETag"] if index in there and there[index]["Size"] == len(data) else None
                if tag is None:
                    tag = self._client.upload_part(**where, UploadId=number, PartNumber=index, Body=data)["ETag"]
                yield {"PartNumber": index, "ETag": tag}

    def _abandon(self, key: str, waiting: Waiting) -> None:
        """Let the store forget the parts that it has: they would be kept, and paid for, for ever."""
        number = waiting.progress.decode()
        where = {"Bucket": self._settings.bucket, "Key": key}
        if number and self._parts(where, number) is not None:
            self._client.abort_multipart_upload(**where, UploadId=number)

    def _parts(self, where: Mapping[str, str], number: str) -> Mapping[int, Mapping[str, Any]] | None:
        """The parts that the store has of an upload; None where it knows the upload no longer."""
        pages = self._client.get_paginator("list_parts").paginate(**where, UploadId=number)
        try:
            return {int(part["PartNumber"]): part for page in pages for part in page.get("Parts", ())}
        except need("botocore.exceptions").ClientError as exc:
            if _code(exc) in GONE:
                return None
            raise

    @contextmanager
    def _said_plainly(self) -> Iterator[None]:
        """The store's complaints as ours: by their codes, since texts may quote keys. All of them may be mended there, so the
        copy waits."""
        errors = need("botocore.exceptions")
        try:
            yield
        except errors.ClientError as exc:
            raise Unreachable(f"the bucket {self._settings.bucket!r} says {_code(exc)}") from None
        except errors.BotoCoreError as exc:
            raise Unreachable(f"the store of {self._settings.bucket!r} does not answer: {type(exc).__name__}") from None


def _client(settings: cloud_settings.S3, key: str, secret: str) -> Any:
    """A client that tries once: the outbox tries again. Checksums are sent where the protocol asks: older stores refuse others."""
    config = need("botocore.config").Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"max_attempts": 0},
        s3={"addressing_style": "path" if settings.endpoint else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return need("boto3").client(
        "s3",
        endpoint_url=settings.endpoint or None,
        region_name=settings.region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=config,
    )


def _code(exc: Any) -> str:
    return str(exc.response.get("Error", {}).get("Code", "an unknown error"))


def _type(path: Path) -> str:
    return TYPES.get(path.suffix, "application/octet-stream")
