"""Builders of small recommendation models, in the forms that public exporters emit."""
