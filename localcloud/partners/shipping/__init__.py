"""Shipping provider: quotes rates, books parcels to part of Europe, and cancels them."""
