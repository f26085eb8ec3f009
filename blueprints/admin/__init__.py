"""The platform seen by its operators: whether it lives, whether it can work, what is not there."""
