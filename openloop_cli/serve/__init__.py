"""One central logger for many processes."""
