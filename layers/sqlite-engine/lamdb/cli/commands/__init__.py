"""Declarations of the commands of `lamdb`; `lamdb.cli` implements them."""
