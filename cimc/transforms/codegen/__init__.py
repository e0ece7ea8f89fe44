"""The scheduled module becomes a program."""
