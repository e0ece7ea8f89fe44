"""The batch brought to the front of every value that holds one part per request."""
