"""What every other room may use: nothing here knows of models, machines or programs."""
