"""Training, run from the checkout: ``python -m train fit configs/NAME.py``."""
