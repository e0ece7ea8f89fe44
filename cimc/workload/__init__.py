"""What users ask of a model: requests recorded, counted or invented."""
