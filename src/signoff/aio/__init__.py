"""The use cases for async callers."""

from signoff.aio.approvals import AsyncApprovals

__all__ = ["AsyncApprovals"]
