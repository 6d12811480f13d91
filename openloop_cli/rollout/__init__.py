"""Observe the context, imagine the horizon, decode both: a model and windows -> OpenLoop."""
