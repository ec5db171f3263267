"""A file that is no JSON at all.

refused: not JSON
"""
# %% build
data = b"PK\x03\x04 <html><script>window.owned = 1</script>"
