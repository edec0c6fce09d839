"""The command `lamdb`, also as `python -m lamdb`."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command in `sys.argv`."""
    try:
        from lamdb.cluster.runtime.starting import begin_command

        begin_command()
        from lamdb.cli import main as run
    except KeyboardInterrupt:
        # Ctrl-C while modules are loaded.
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
