"""What a type checker says to users: the types they get, the mistakes it finds."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

CODE = """
from typing import assert_type
from signoff import Approve, Filter, Principal, Request, Signoff, Status, review
so = Signoff("sqlite:///x.db", policy=[review("pay", expires_in="4h")])
ann = Principal(id="ann")
request = so.get("req_1")
assert_type(request, Request)
assert_type(request.status, Status)
assert_type(so.decide("req_1", Approve(), by=ann, digest="d"), Request)
assert_type(so.count(Filter(tool="pay")), int)
async def later() -> None:
    assert_type(await so.aio.get("req_1"), Request)
    assert_type(await so.aio.decide("req_1", Approve(), by=ann, digest="d"), Request)
"""
MISTAKES = {
    'so.decide("req_1", "approve", by=ann, digest="d")': "arg-type",
    'so.decide("req_1", Approve(), by="ann", digest="d")': "arg-type",
    'so.decide("req_1", Approve(), by=ann)': "call-arg",
    'review("pay", aprovals=2)': "call-arg",
    "so.get(1)": "arg-type",
}


@pytest.mark.slow
def test_users_get_types_and_hear_of_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(CODE + "\n".join(MISTAKES))
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nmypy_path = {ROOT / 'src'}\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(file)],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        text=True,
        timeout=110,
    )
    errors = [line for line in done.stdout.splitlines() if " error: " in line]
    first = CODE.count("\n") + 1
    found = [(int(e.split(":")[1]), e.rpartition("[")[2].rstrip("]")) for e in errors]
    assert found == list(enumerate(MISTAKES.values(), start=first)), done.stdout
