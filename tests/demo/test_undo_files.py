"""The example of files that are taken back, run as its reader would."""

from tests.support import ROOT, run_python

EXAMPLE = ROOT / "examples" / "undo_files.py"


def test_every_file_is_back() -> None:
    done = run_python(EXAMPLE)
    assert (done.returncode, done.stderr) == (0, "")
    first, *undone, back, last = done.stdout.splitlines()
    assert first == "The agent left ., made, made/new.txt, old.txt."
    assert len(undone) == 5
    assert all(line.endswith(": undone, exact") for line in undone)
    assert back == "Back are ., latest, notes.txt, run.sh."
    assert last == "Bytes, modes, times and links as before: True"


def test_it_stays_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 115
