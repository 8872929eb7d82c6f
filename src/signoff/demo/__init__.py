"""A real agent on real files, mail, money and Git, asking before it acts."""

from signoff.demo.session import run

__all__ = ["run"]
