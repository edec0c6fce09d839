"""Records of one model as CSV and JSON Lines: read, checked, loaded, written. See docs/import.md."""
