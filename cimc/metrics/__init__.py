"""Quality of scores and rankings, with intervals: plain numpy, no files, no printing."""
