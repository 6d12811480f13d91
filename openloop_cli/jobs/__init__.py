"""Work from paths to files: a report, a comparison, a batch, a watch. Small and picklable."""
