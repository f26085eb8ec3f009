"""Notifications: telling people what happened, on the channels they want, once."""
