"""The world model: pure functions f(params, config, …) on flat checkpoint names."""
