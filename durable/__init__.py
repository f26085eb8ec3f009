"""Orchestrators: control flow only, no input or output; they read like the business process."""
