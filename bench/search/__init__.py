"""Measurements of full-text search over the descriptions of Debian's packages."""
