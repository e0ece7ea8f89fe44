"""A model planned from statistics alone: chips, copies, requests per second, watts, and what crosses."""
