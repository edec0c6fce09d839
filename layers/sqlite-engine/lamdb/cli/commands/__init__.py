"""The commands of `lamdb`, as they are declared."""
