"""Where a batch's items are rendered: in this process, in several, or on a Ray cluster."""
