"""The same use cases as `Approvals`, over HTTP: for the inbox, the CLI and programs."""

from signoff.client.client import Client
from signoff.client.problems import read_problem
from signoff.client.transport import CHANNEL_HEADER, PREFIX

__all__ = ["CHANNEL_HEADER", "PREFIX", "Client", "read_problem"]
