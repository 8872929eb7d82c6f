"""A real LangGraph Server, the in-memory one for development, on loopback."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.support import ROOT, free_port, wait_until

APP = Path(__file__).with_name("app.py")
GRAPHS = {"payer": "./app.py:payer", "reporter": "./app.py:reporter"}


@dataclass
class Server:
    """One server in a folder of its own, where it also keeps its threads."""

    folder: Path
    store: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it said."""
        return (self.folder / "log.txt").read_text(encoding="utf-8")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        (self.folder / "app.py").write_bytes(APP.read_bytes())
        settings = {"dependencies": ["."], "graphs": GRAPHS}
        (self.folder / "langgraph.json").write_text(json.dumps(settings), "utf-8")
        command = [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser"]
        command += ["--no-reload", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--n-jobs-per-worker", "4"]
        quiet = {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1"}
        given = {"STORE": self.store, "EFFECTS": str(self.folder)}
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **quiet, **given, "PYTHONPATH": str(ROOT / "src")},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._answers, f"the server answers:\n{self.log}", timeout=90)

    def stop(self) -> None:
        """End it; it writes its threads into its folder."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=30)
            self.process = None

    def effects(self, name: str) -> list[str]:
        """The lines that the deployed tools wrote there."""
        file = self.folder / name
        return file.read_text(encoding="utf-8").split() if file.exists() else []

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            with urlopen(f"{self.url}/ok", timeout=2) as answer:  # noqa: S310 - loopback
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False
