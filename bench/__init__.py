"""How fast lamDB answers, beside the same SQL written by hand. Run it with `python -m bench`."""
