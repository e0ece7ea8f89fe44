"""What happens between passes: dumps, and execution after each."""
