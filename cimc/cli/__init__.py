"""The command line: parsing of arguments, and what is printed where."""
