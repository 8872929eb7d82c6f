"""`signoff demo`: opens everything in one process and plays the story."""

from __future__ import annotations

import logging
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from signoff.demo.agent import REVIEWER
from signoff.demo.auto import MODES, Automatic
from signoff.demo.interactive import Interactive
from signoff.demo.screen import Say, Screen, print_line
from signoff.demo.stage import Stage, open_stage
from signoff.demo.world import World
from signoff.domain.errors import InvalidSetting, PortTaken
from signoff.server import DEFAULT_PORT, FromUrl, Server

FOLDER: Final = "signoff-demo"


def run(
    *,
    auto: str | None = None,
    model: str | None = None,
    port: int | None = None,
    folder: Path | None = None,
    open_browser: bool = True,
    say: Say = print_line,
) -> int:
    """Play the demo in this process, on SQLite, and say each step.

    Args:
        auto: `approve`, `reject`, `edit` or `respond` decides everything so, without a
            browser, and checks what it claims; None waits for a person in the inbox.
        model: LangChain's name of a chat model; None is a scripted one without a key.
        port: Where the inbox listens; None is 8765, or any free one if that is taken.
        folder: Where its world is. One that is there goes on where it stopped. None
            is `signoff-demo` in the current folder, with `auto` a new temporary one.
        open_browser: Whether to open the inbox in a browser, where there is one.
        say: Prints one line.

    Returns:
        0 if everything that was claimed held, else 1.

    Raises:
        InvalidSetting: The mode, the model or the folder can't be used.
        PortTaken: The port that was asked for is taken.
    """
    if auto is not None and auto not in MODES:
        raise InvalidSetting(
            "--auto", f"it is one of {', '.join(MODES)}, not {auto!r}."
        )
    _quiet()
    screen = Screen(say)
    world = World(_folder(folder, auto=auto))
    with _ends_on_sigterm(), open_stage(world, model) as stage:
        _introduce(screen, stage)
        if auto is not None:
            return _play_alone(stage, screen, mode=auto, port=port)
        return _play(stage, screen, port=port, open_browser=open_browser)


def _quiet() -> None:
    """The demo says what happens; what its parts log is for operators."""
    for name in ("streamlit", "uvicorn"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _folder(folder: Path | None, *, auto: str | None) -> Path:
    if folder is not None:
        return folder
    if auto is not None:
        return Path(tempfile.mkdtemp(prefix=f"{FOLDER}-"))
    return Path(FOLDER)


def _introduce(screen: Screen, stage: Stage) -> None:
    world = stage.world
    if stage.continues:
        state = "it goes on where it stopped"
    elif world.is_new:
        state = "new"
    else:
        state = "from an earlier demo; this is another round"
    screen.title(f"The demo's world: {world.folder} ({state})")


def _play_alone(stage: Stage, screen: Screen, *, mode: str, port: int | None) -> int:
    with Server(stage.so, port=port or 0) as server, stage.runner.watch():
        return Automatic(stage, screen, mode=mode, url=server.url).run()


def _play(stage: Stage, screen: Screen, *, port: int | None, open_browser: bool) -> int:
    screen.title("Starting the inbox")
    with _serving(stage, port) as server, stage.runner.watch():
        link = sign_in_link(server.url, stage.token(REVIEWER, "finance"))
        return Interactive(stage, screen, link=link, open_browser=open_browser).run()


def _serving(stage: Stage, port: int | None) -> Server:
    """A free port stands in for our own, never for the one that was asked for."""
    from signoff.inbox import make_app  # noqa: PLC0415 - Streamlit costs seconds

    if port is not None:
        return Server(stage.so, port=port, ui=FromUrl(make_app))
    try:
        return Server(stage.so, port=DEFAULT_PORT, ui=FromUrl(make_app))
    except PortTaken:
        return Server(stage.so, ui=FromUrl(make_app))


def sign_in_link(url: str, token: str) -> str:
    """The address that signs in with a token and leads to the inbox."""
    return f"{url}/login?{urlencode({'token': token, 'next': '/'})}"


@contextmanager
def _ends_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does, so that everything is closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
