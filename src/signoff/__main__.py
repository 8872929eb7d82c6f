"""`python -m signoff` is the same as `signoff`."""

from signoff.cli import app

app(prog_name="signoff")
