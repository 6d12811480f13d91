"""Report -> file, one writer for each kind; each file is written whole or not at all.

A writer takes a path and what shall stand in it, returns nothing, and raises `OutputError`.
"""
