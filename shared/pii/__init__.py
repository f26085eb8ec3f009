"""Personal data: what is one, who sees it in an answer, and how it stays out of logs."""

from shared.pii.logs import mask_logs, mask_text
from shared.pii.marks import ADDRESS, EMAIL, NAME, PHONE, Category, Personal
from shared.pii.masking import Masks

__all__ = [
    "ADDRESS",
    "EMAIL",
    "NAME",
    "PHONE",
    "Category",
    "Masks",
    "Personal",
    "mask_logs",
    "mask_text",
]
