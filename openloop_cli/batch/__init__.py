"""Many jobs -> their results, here or elsewhere."""
