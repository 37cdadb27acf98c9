"""What the training page asks of runs on disk and of runs to come: records, samples, previews, reports."""
