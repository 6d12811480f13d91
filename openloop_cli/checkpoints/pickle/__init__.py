"""A pickle reader that never runs what a pickle says: an index of arrays, read when asked for."""
