"""Why a variant is bad: its graph beside the float one, layer by layer, and a recipe that repairs it."""
