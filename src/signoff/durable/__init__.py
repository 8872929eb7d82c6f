"""Workers: they carry wake-ups to threads, on one machine or on many.

What needs procrastinate is in `signoff.durable.jobs`, which only PostgreSQL loads.
"""

from signoff.durable.worker import DRAIN, Settings, Worker, carrier_for

__all__ = [
    "DRAIN",
    "Settings",
    "Worker",
    "carrier_for",
]
