"""OpenLoop -> numbers: errors, baselines, intervals, skill, the tree of metrics.json."""
