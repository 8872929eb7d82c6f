"""Workers: they carry wake-ups to threads, on one machine or on many."""

from signoff.durable.jobs import JobCarrier, install_jobs
from signoff.durable.worker import DRAIN, Settings, Worker, carrier_for

__all__ = [
    "DRAIN",
    "JobCarrier",
    "Settings",
    "Worker",
    "carrier_for",
    "install_jobs",
]
