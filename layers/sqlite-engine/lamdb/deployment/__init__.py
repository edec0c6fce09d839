"""Deployment: applies a project's schema, migrations and seed to a database."""
