"""Who executes what, when, and where every value lies."""
