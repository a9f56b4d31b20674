"""The guard: each command once, whatever comes twice, late or in the wrong order.

`table` decides, `sql` says it to a database, and `carry_out` holds the transaction around both. The
rules are those of docs/guard.md.
"""
