"""`signoff demo --auto`: what it says is compared with what lies in its folder."""

import shutil
from email.message import EmailMessage
from pathlib import Path

import pytest

from signoff.demo import run
from tests.demo.evidence import (
    OLD_DRAFT,
    OTHER_DRAFT,
    UNTOUCHED_FILES,
    nothing_happened,
    read_evidence,
)
from tests.demo.program import run_demo

pytestmark = pytest.mark.slow


def _demo(mode: str, folder: Path) -> str:
    done = run_demo("--auto", mode, "--dir", str(folder))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    return " ".join(done.stdout.split())


def _to(mail: EmailMessage) -> str:
    return str(mail["To"])


def test_approve_does_everything_once(tmp_path: Path) -> None:
    said = _demo("approve", tmp_path)
    found = read_evidence(tmp_path)
    assert found.payments == [("ACC Logistics", 145_000)]
    assert found.balances["Operating account"] == 2_400_000 - 145_000
    assert found.balances["ACC Logistics"] == 145_000
    assert [_to(mail) for mail in found.mails] == ["accountant@example.com"]
    assert found.messages == ["Start", "Release 2.19.0"]
    assert found.files == UNTOUCHED_FILES - {OLD_DRAFT}
    assert "All 14 checks held." in said


@pytest.mark.parametrize("mode", ["reject", "respond"])
def test_nothing_happens_without_approval(mode: str, tmp_path: Path) -> None:
    said = _demo(mode, tmp_path)
    assert nothing_happened(read_evidence(tmp_path))
    told = {"reject": "Not this month.", "respond": "I do it by hand."}[mode]
    assert said.count("not done. A reviewer") == 4
    assert said.count(told) == 4
    assert "All 10 checks held." in said


def test_edit_does_what_was_edited_and_not_what_was_proposed(tmp_path: Path) -> None:
    said = _demo("edit", tmp_path)
    found = read_evidence(tmp_path)
    assert found.payments == [("ACC Logistics", 120_000)]
    assert [_to(mail) for mail in found.mails] == ["audit@example.com"]
    assert found.messages == ["Start", "Release 2.19.0 (final)"]
    assert found.files == UNTOUCHED_FILES - {OTHER_DRAFT}
    assert said.count("A reviewer changed it first.") == 4


def test_a_second_run_in_the_same_folder_is_another_round(tmp_path: Path) -> None:
    _demo("approve", tmp_path)
    said = _demo("approve", tmp_path)
    assert "from an earlier demo; this is another round" in said
    assert read_evidence(tmp_path).payments == [("ACC Logistics", 145_000)] * 2


def test_the_default_folder_is_new_and_named(tmp_path: Path) -> None:
    done = run_demo("--auto", "reject", env={"TMPDIR": str(tmp_path)})
    (made,) = tmp_path.iterdir()
    assert str(made) in done.stdout.splitlines()[0]
    assert nothing_happened(read_evidence(made))


@pytest.mark.parametrize("mode", ["approve", "reject"])
def test_a_world_that_differs_fails_the_checks(mode: str, tmp_path: Path) -> None:
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line.startswith("4. "):
            shutil.rmtree(tmp_path / "files" / "invoices")

    assert run(auto=mode, folder=tmp_path, say=say) == 1
    assert any("FAILED" in line for line in lines)
    assert any("file deleted: invoices" in line for line in lines)
    assert "checks FAILED" in lines[-1]
