"""The reference pages, made from the code so that they cannot lie: `make docs` writes them.

Owns the pages' text; nothing that runs at the gate imports this.
"""
