"""A part that misbehaves on demand: `fake_part.py PORT MODE`."""

import signal
import socket
import subprocess
import sys
import time

PARENTS = {"parent", "stubborn-parent"}


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    port, mode = int(sys.argv[1]), sys.argv[2]
    if mode == "refuse":
        sys.exit("the fake part does not like this machine")
    if "stubborn" in mode:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if mode in PARENTS:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)  # grandchild"])
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        say("said before it was ready")
        sys.stderr.write(f"mode {mode}\n")
        if mode != "silent":
            say(f'READY {{"port": {port}}}')
        time.sleep(600)


if __name__ == "__main__":
    main()
