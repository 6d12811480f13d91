"""Open-loop predictions of a world model, from what a run left on disk."""

__version__ = "0.1.0"
