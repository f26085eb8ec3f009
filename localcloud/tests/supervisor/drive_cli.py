"""The command line over a table of fake parts: `drive_cli NAME:MODE... -- COMMAND [OPTION...]`."""

import sys

from localcloud.cli import main
from localcloud.tests.supervisor.fakes import fake_part

if __name__ == "__main__":
    split = sys.argv.index("--")
    table = tuple(fake_part(*word.split(":")) for word in sys.argv[1:split])
    main(sys.argv[split + 1 :], prog_name="python -m localcloud", obj=table)
