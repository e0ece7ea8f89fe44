"""Search of pipelines: candidates are judged by the estimate, the best of them by simulation."""
