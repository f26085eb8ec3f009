"""A supervisor in a process of its own, to be killed: `drive STATE NAME:MODE...`; then it waits."""

import sys
import time
from pathlib import Path

from localcloud import parts
from localcloud.cloud import LocalCloud
from localcloud.tests.supervisor.fakes import fake_part


def main() -> None:
    real = {"postgres": parts.POSTGRES, "valkey": parts.VALKEY}
    steps = []
    for word in sys.argv[2:]:
        name, _, mode = word.partition(":")
        steps.append(real[name] if mode == "real" else fake_part(name, mode))
    cloud = LocalCloud(Path(sys.argv[1]), steps=steps)
    cloud.start()
    sys.stdout.write("up\n")
    sys.stdout.flush()
    time.sleep(600)


if __name__ == "__main__":
    main()
