"""Commands of zoo in forked processes, which a case kills, limits or waits for."""

import os
import signal
import sys
import time
import traceback
from pathlib import Path

SILENCE = 30.0  # seconds
LONGEST = 600  # seconds
POLL = 0.02


class Child:
    """``zoo <argv>`` in a fork of this process, which has torch and zoo imported.

    Args:
        argv: arguments of the command.
        log: file of its standard output and error.
        hook: called in the fork before the command.
        env: further environment variables.
        watched: folder whose changes count as output.
    """

    def __init__(self, argv, log, *, hook=None, env=None, watched=None):
        self.log = Path(log)
        self.watched = watched
        self.start = time.monotonic()
        self.log.write_text("")
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            self._run(argv, hook, env or {})

    def _run(self, argv, hook, env):
        code = 1
        try:
            os.setsid()
            file = os.open(self.log, os.O_WRONLY | os.O_APPEND)
            os.dup2(file, 1)
            os.dup2(file, 2)
            sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
            sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
            os.environ.update({key: str(value) for key, value in env.items()})
            if "LOCAL_RANK" in env:
                from pytorch_lightning.utilities.rank_zero import rank_zero_only

                rank_zero_only.rank = int(env["LOCAL_RANK"])
            if hook:
                hook()
            from zoo.cli import main

            code = main(argv)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def poll(self):
        """Return the exit code, negative for a signal; None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def wait(self, *, kill_at=None, sign=signal.SIGKILL):
        """Return the exit code, or "hang"; send a signal ``kill_at`` seconds after the start.

        A hang is ``SILENCE`` seconds of computing without output, or of neither: on a busy machine a process that waits
        for its turn does not hang. ``LONGEST`` seconds without output are one in any case.
        """
        size, busy, since = -1, 0.0, time.monotonic()
        start, last = 0.0, since
        while (code := self.poll()) is None:
            now = time.monotonic()
            if kill_at is not None and now - self.start >= kill_at:
                os.kill(self.pid, sign)
                kill_at = None
            new_size, new_busy = self._size(), self._busy()
            if new_size != size:
                start, last = new_busy, now
            if (new_size, new_busy) != (size, busy):
                size, busy, since = new_size, new_busy, now
            if now - since > SILENCE or busy - start > SILENCE or now - last > LONGEST:
                os.killpg(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return "hang"
            time.sleep(POLL)
        return code

    def _size(self):
        """Bytes of the output and of the log of the run."""
        files = [self.log, *([self.watched / "log.csv"] if self.watched else [])]
        return sum(file.stat().st_size for file in files if file.exists())

    def _busy(self):
        """Seconds that the process has computed."""
        try:
            ticks = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        except OSError:
            return 0.0
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    @property
    def text(self):
        return self.log.read_text(errors="replace")


def complaint(text):
    """Return why the output of a command is not one clear line; None if it is."""
    if "Traceback (most recent call last)" in text:
        last = [line for line in text.splitlines() if line.strip()][-1]
        return f"traceback: {last[:200]}"
    lines = [line for line in text.splitlines() if line.startswith("zoo ") and ": warning: " not in line]
    return None if len(lines) == 1 else f"{len(lines)} lines of error"
