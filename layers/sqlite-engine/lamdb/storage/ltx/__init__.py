"""LTX files: their format, their names, and the replica that they make up."""
