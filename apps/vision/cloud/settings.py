"""Where copies go. Off by default; the keys of an S3 store are read from environment variables and never written or shown."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edgekit.apps.vision.events import Severity
from edgekit.core.schema import Value

Variable = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
Prefix = Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*)?$", max_length=256)]


class S3(Value, frozen=True, kw_only=True):
    """A bucket of Amazon S3, or with `endpoint` of any store that speaks its language (MinIO, Ceph, Garage, R2, B2)."""

    bucket: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    endpoint: Annotated[str, msgspec.Meta(pattern=r"^(https?://[^\s@]+)?$", max_length=2048)] = ""
    region: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}$")] = "us-east-1"
    key_env: Variable = "AWS_ACCESS_KEY_ID"
    secret_env: Variable = "AWS_SECRET_ACCESS_KEY"


class Cloud(Value, frozen=True, kw_only=True):
    """What is copied where: into a bucket or a folder (a mounted disk or share), of events from `least` on."""

    s3: S3 | None = None
    folder: str = ""
    prefix: Prefix = ""
    least: Severity = "low"
    snapshots: bool = True
    most: Annotated[int, msgspec.Meta(ge=10, le=1_000_000)] = 2000
