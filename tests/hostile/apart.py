"""Cases that could take the interpreter down, run in a process that may die or hang."""

import multiprocessing

from tests.hostile.case import Happened, run

SECONDS = 60


class Apart:
    """A process that runs cases one after the other; another one after a crash or a hang."""

    def __init__(self):
        self.process = self.connection = None

    def run(self, key):
        """What happened in each call of the case of this key of `table.ALL`."""
        if self.process is None:
            self._start()
        self.connection.send(key)
        if not self.connection.poll(SECONDS):
            return {"all calls": self._end(Happened("HANG", f"more than {SECONDS} s"))}
        try:
            return self.connection.recv()
        except EOFError:
            self.process.join()
            return {"all calls": self._end(Happened("CRASH", f"exit code {self.process.exitcode}"))}

    def close(self):
        if self.process is not None:
            self._end(None)

    def _start(self):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def _end(self, happened):
        self.process.kill()
        self.process.join()
        self.process = None
        return happened


def _work(connection):
    from tests.hostile.table import ALL

    while True:
        connection.send(run(ALL[connection.recv()]))
