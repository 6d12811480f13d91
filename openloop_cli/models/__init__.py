"""World models that can be rolled out: each a folder of pure functions on its own parameters."""
