"""Signed requests to the services of AWS, without an SDK."""
