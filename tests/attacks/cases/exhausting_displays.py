"""A hundred thousand displays, updates and clearings.

mlp.linear_backward: output limit | time limit
"""
# %% answer mlp.linear_backward
from IPython.display import HTML, clear_output, display

handle = display("start", display_id="one")
for number in range(100_000):
    display(HTML(f"<b>{number}</b>"))
    handle.update(number)
    clear_output(wait=True)
