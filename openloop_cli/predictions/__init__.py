"""Predictions that are there already: named arrays, videos, or what other tools write -> rollouts.

Read without trust: nothing in a file is executed, and sizes are checked before memory is taken.
"""
