"""The inbox as it is installed and started."""

from importlib.resources import files
from pathlib import Path

import pytest

from tests.support import run_python

START = """
from signoff.inbox import make_app
from streamlit import config
app = make_app("http://127.0.0.1:8765")
names = ["browser.gatherUsageStats", "client.showErrorDetails", "client.toolbarMode",
         "server.fileWatcherType", "server.enableAgentApi"]
print([config.get_option(name) for name in names], app.script_path.is_file())
"""


def configure(folder: Path, text: str) -> None:
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit" / "config.toml").write_text(text, "utf-8")


def test_its_settings_hold_whatever_a_folder_says(tmp_path: Path) -> None:
    configure(
        tmp_path,
        "[browser]\ngatherUsageStats = true\n[client]\nshowErrorDetails = 'full'\n",
    )
    done = run_python(START, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[False, 'none', 'minimal', 'none', False] True\n"


def test_it_refuses_to_start_where_programs_can_press_buttons(tmp_path: Path) -> None:
    configure(tmp_path, "[server]\nenableAgentApi = true\n")
    done = run_python(START, cwd=tmp_path)
    assert done.returncode == 1
    assert "InvalidSetting: server.enableAgentApi" in done.stderr
    assert "set it to false" in done.stderr


@pytest.mark.parametrize("kind", ["js", "css"])
def test_every_component_has_its_files(kind: str) -> None:
    names = [
        "bar",
        "notices",
        "listing",
        "detail",
        "changes",
        "timeline",
        "undo",
        "sign_in",
    ]
    assets = files("signoff.inbox") / "assets"
    assert all((assets / f"{name}.{kind}").is_file() for name in names)
