"""`bootstrap` against moto in this process, without a network.

A package, and not named `bootstrap`, because pytest would otherwise import `conftest.py` of this folder in place of the one above, from
which the other tests import.
"""
