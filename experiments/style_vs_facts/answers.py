"""x."""
def answer(found): return "x"
