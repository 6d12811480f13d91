"""Result files: only here are their keys spelled, written and read."""
