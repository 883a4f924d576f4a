"""Hostile input: every case once, as data, and what must hold for it.

case.py     what a case is, and how what happened is judged
doors.py    the public calls that a case is given to
apart.py    a process for the cases that could take the interpreter down
table.py    all cases, run and written down for the documentation
others      the cases, by what is bad about them
"""
