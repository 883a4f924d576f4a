"""Cases that could take the interpreter down, run in a process that may die or hang."""

import multiprocessing

from tests.hostile.case import Happened, run

SECONDS = 60


def of_table(key):
    from tests.hostile.table import ALL

    return ALL[key]


class Apart:
    """A process that runs cases one after the other; another one after a crash or a hang.

    ``find`` gives a case by its key there; cases themselves do not travel.
    """

    def __init__(self, find=of_table, seconds=SECONDS):
        self.find, self.seconds = find, seconds
        self.process = self.connection = None

    def run(self, key):
        """What happened in each call of the case of this key."""
        if self.process is None:
            self._start()
        self.connection.send(key)
        if not self.connection.poll(self.seconds):
            return {"all calls": self._end(Happened("HANG", f"more than {self.seconds} s"))}
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
        self.process = context.Process(target=_work, args=(theirs, self.find), daemon=True)
        self.process.start()
        theirs.close()
        self.connection.recv()  # it has imported what it needs: the time of a case begins

    def _end(self, happened):
        self.process.kill()
        self.process.join()
        self.process = None
        return happened


def _work(connection, find):
    connection.send("ready")
    while True:
        connection.send(run(find(connection.recv())))
