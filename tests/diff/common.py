"""What all steps need: the exception that says that answers differ, and how messages are shown."""
import re


class Difference(Exception):
    pass


class Away(Exception):
    """The machine was away for so long that the two servers have not the same leases any more: that is no difference."""


def show(message, limit=3000):
    text = re.sub(r'(.)\1{40,}', lambda m: f'{m[1] * 10}...({len(m[0])})', str(message).strip())
    return text if len(text) <= limit else f'{text[:limit]} ... ({len(text)} characters)'
