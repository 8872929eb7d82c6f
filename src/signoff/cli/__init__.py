"""The command line: one Typer app, `signoff`."""

from signoff.cli.app import app

__all__ = ["app"]
