"""x."""
def headline(found): return ()
