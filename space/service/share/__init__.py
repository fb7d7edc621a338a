"""Shared reports: signed pages behind a link, for 30 days or until deleted, and links that hold a report themselves."""

from space.service.share.routes import share_routes
from space.service.share.shares import Shared, Shares
from space.service.share.signature import SigningKey, load_signing_key

__all__ = ["Shared", "Shares", "SigningKey", "load_signing_key", "share_routes"]
