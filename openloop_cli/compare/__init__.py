"""Metrics trees against each other and against limits, by paired intervals. Pure."""
