"""The floor: what a hand-written service without a platform takes to place the same order."""
