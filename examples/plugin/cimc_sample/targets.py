"""A target: a preset with other fields, under a name of its own."""

from cimc import load_target

CARD = load_target("tsinghua28{system.chips=4}").model_copy(update={"name": "sample_card"})
