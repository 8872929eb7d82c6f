"""Telling people: e-mail and webhooks, one small module a channel."""

from signoff.notify.deliverer import Deliverer
from signoff.notify.mail import Mail, Smtp
from signoff.notify.redact import redact
from signoff.notify.settings import Settings, read_settings
from signoff.notify.webhook import Webhook

__all__ = [
    "Deliverer",
    "Mail",
    "Settings",
    "Smtp",
    "Webhook",
    "read_settings",
    "redact",
]
