"""What developers run besides the tests: never part of what is shipped."""
