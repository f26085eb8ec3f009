"""The local cloud: runs the deployed artifacts on one machine, offline."""
