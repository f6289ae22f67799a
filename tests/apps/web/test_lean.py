"""A server starts without what it does not need, and describes and refuses as it would with it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("fastapi", reason="the apps' pages need edgekit[web]")
APP = """
import json, sys
if {lean}:
    from edgekit.apps.web.lean import import_fastapi
    import_fastapi()
import fastapi, fastapi.openapi.models, pydantic
from fastapi.testclient import TestClient
built = fastapi.openapi.models.OpenAPI.__pydantic_complete__
class Size(pydantic.BaseModel):
    width: int
app = fastapi.FastAPI()
@app.post("/size")
def size(size: Size) -> Size:
    return size
client = TestClient(app)
print(json.dumps({{
    "described": client.get("/openapi.json").json(),
    "answers": [client.post("/size", json={{"width": width}}).json() for width in (3, "wide")],
    "built": built,
    "pydantic_1": sys.modules.get("pydantic.v1") is not None,
    "deferred": bool(Size.model_config.get("defer_build")),
}}))
"""


def said(*, lean: bool) -> dict[str, object]:
    program = [sys.executable, "-W", "ignore", "-c", APP.format(lean=lean)]
    found: dict[str, object] = json.loads(subprocess.run(program, check=True, capture_output=True, text=True).stdout)
    return found


def test_the_interface_is_described_and_checked_alike_and_what_nobody_asked_for_is_not_made() -> None:
    lean, full = said(lean=True), said(lean=False)
    assert (lean["described"], lean["answers"]) == (full["described"], full["answers"])
    assert (full["pydantic_1"], lean["pydantic_1"], lean["deferred"]) == (True, False, False)
    assert full["built"] and not lean["built"]
