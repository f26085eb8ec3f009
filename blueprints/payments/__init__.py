"""Payments: the customer's money, from authorisation to refund, and the gateway that holds it."""
