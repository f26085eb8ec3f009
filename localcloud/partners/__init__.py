"""The companies that the shop works with: payment gateway, shipping provider and ERP.

Each is a process of its own that keeps what it did across a kill, and that a test can slow
down, break or stop at a chosen point (`control`).
"""
