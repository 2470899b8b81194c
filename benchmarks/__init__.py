"""Speed of `optlearn` beside its peers: `make bench` measures it, `book/speed.ipynb` draws it.

A module holds a table: `CONTENDERS` names who takes part, and `measure` returns the rows. `turns`
takes the times, `machine` describes the computer, `targets` compares the rows with what is aimed
at, and `run` puts it all into `results.json`.
"""
