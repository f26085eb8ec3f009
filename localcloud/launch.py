"""Becomes a part: takes the part's user, ties its life to the supervisor's, then runs its program.

Run as a file by the supervisor, `launch.py SIGNAL USER PARENT -- PROGRAM [ARGUMENT...]`, because
doing this between fork and exec of a process with threads may deadlock.
"""

import ctypes
import os
import pwd
import sys

_PR_SET_PDEATHSIG = 1


def _become(user: str) -> None:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ.update(HOME="/", USER=user, LOGNAME=user)


def die_with(parent: int, signal_number: int) -> None:
    """Have this process end by `signal_number` when `parent`, its own parent, ends."""
    # After the change of user, which clears the setting. Other systems than Linux have none:
    # there the next start finds the left-over process by its recorded pid and stops it.
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        sys.exit(1)


def main() -> None:
    signal_number, user, parent = sys.argv[1:4]
    program = sys.argv[5:]
    if user:
        _become(user)
    die_with(int(parent), int(signal_number))
    os.execv(program[0], program)  # noqa: S606 - the supervisor's own command, no shell


if __name__ == "__main__":
    main()
