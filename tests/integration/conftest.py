"""Fixtures that every integration test may use."""

from tests.support.s3_server import s3, s3_endpoint

__all__ = ["s3", "s3_endpoint"]
