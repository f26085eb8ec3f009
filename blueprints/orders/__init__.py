"""Orders: taking them, following them, moving them on, calling them off."""
