"""The use cases, each one transaction."""

from signoff.service.approvals import Approvals

__all__ = ["Approvals"]
